//! What a spec's study optimises, and where it stands on disk.

use super::Project;
use crate::check::spec::Metric;
use crate::search::{Limit, Problem, Quantity};

impl Project {
    /// The problem of a spec: its goal, and that the network fits every device it names.
    pub fn problem(&self) -> Problem {
        let names = self.device_names();
        let mut problem = Problem::from_goal(&self.checked.spec.goal, &names);
        for (name, profile) in names.iter().zip(&self.profiles) {
            for (metric, limit) in [(Metric::Ram, profile.ram()), (Metric::Flash, profile.flash())] {
                let key = format!("{} on {name}", metric.name());
                // A limit of the spec that is at least as strict says it already.
                if !problem.limits.iter().any(|l| l.name == key && l.limit <= limit as f64) {
                    problem.limits.push(Limit {
                        name: key,
                        quantity: Quantity::Bytes,
                        at_least: false,
                        limit: limit as f64,
                        known: true,
                    });
                }
            }
        }
        problem
    }
}
