//! A point of the space worked out: network, schedule, memory plan, costs.

use super::{Metrics, Project};
use crate::check::spec::{Metric, Precision};
use crate::cost::{cost, Cost};
use crate::diag::Diagnostic;
use crate::graph::Network;
use crate::lower::{lower, plan, Lowered, Plan};
use crate::space::Point;
use std::collections::BTreeMap;

/// Everything about a network that can be said without its weights.
#[derive(Debug, Clone)]
pub struct Design {
    /// The point.
    pub point: Point,
    /// Its network.
    pub network: Network,
    /// The schedule.
    pub lowered: Lowered,
    /// The arena.
    pub plan: Plan,
    /// What it costs.
    pub cost: Cost,
}

impl Project {
    /// Works out a point, in floating point.
    ///
    /// # Errors
    /// If it is no point of the space.
    pub fn design(&self, point: &Point) -> Result<Design, Vec<Diagnostic>> {
        let network = self.checked.space.network(point)?;
        let lowered = lower(&network);
        let plan = plan(&lowered, 4);
        let cost = cost(&lowered, &plan, &self.profiles, Precision::Float);
        Ok(Design { point: point.clone(), network, lowered, plan, cost })
    }

    /// The values of a design that searches and requirements speak of, by
    /// [`Measure`](crate::check::spec::Measure) names such as `latency on board`, in base units. What
    /// the spec's program returns is not known; what hytc would have computed of it is there under
    /// another name, `latency on board (computed)`: a surrogate model learns from it.
    pub fn known_values(&self, design: &Design) -> BTreeMap<String, f64> {
        let c = &design.cost;
        let mut out = BTreeMap::from([
            (Metric::Params.name().to_string(), c.params as f64),
            (Metric::Macs.name().to_string(), c.macs as f64),
        ]);
        for (i, device) in self.device_names().iter().enumerate() {
            let on = |m: Metric| format!("{} on {device}", m.name());
            out.insert(on(Metric::Ram), c.ram_bytes as f64);
            if let Some(d) = c.devices.get(i) {
                out.insert(on(Metric::Flash), d.flash_bytes as f64);
                out.insert(on(Metric::Latency), d.latency_s);
                if let Some(e) = d.energy_j {
                    out.insert(on(Metric::Energy), e);
                }
            }
        }
        let names = self.device_names();
        for returned in self.checked.spec.evaluate.iter().flat_map(|e| &e.metrics) {
            let name = returned.measure.name(&names);
            if let Some(value) = out.remove(&name) {
                out.insert(format!("{name} (computed)"), value);
            }
        }
        out
    }

    /// What a study knows of a point before anything is trained.
    ///
    /// # Errors
    /// Why the point is no network.
    #[cfg(feature = "search")]
    pub fn known_point(&self, point: &Point) -> Result<crate::search::KnownPoint, String> {
        use crate::search::{Features, Sketch};
        let design = self
            .design(point)
            .map_err(|d| d.first().map_or_else(|| "not a network".to_string(), |d| d.message.clone()))?;
        Ok(crate::search::KnownPoint {
            hash: design.network.hash(),
            values: self.known_values(&design),
            features: self.sketch(point).map(Sketch::all).unwrap_or_default(),
        })
    }

    /// The figures of a design for files that programs read. Flash is the largest of the devices'.
    pub fn metrics(&self, design: &Design, accuracy: f64) -> Metrics {
        let c = &design.cost;
        let names = self.device_names();
        Metrics {
            accuracy,
            validation_accuracy: None,
            accuracy_int8: None,
            int8_revision: None,
            params: c.params,
            macs: c.macs,
            flash_bytes: c.flash_bytes,
            ram_bytes: c.ram_bytes,
            latency_ms: names.into_iter().zip(&c.devices).map(|(n, d)| (n, d.latency_s * 1e3)).collect(),
            returned: BTreeMap::new(),
        }
    }
}
