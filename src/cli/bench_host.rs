//! `hytc bench SPEC --target host`: emitted code timed on this machine, and other engines beside it.

use super::bench_target::{bench_failed, table, Bench};
use super::common::{failed, out, print_json};
use super::{exit, Done, Failure};
use crate::check::spec::Precision;
use crate::graph::Fact;
use crate::lower::{plan, Bound};
use crate::target::host::{measure_float, measure_int8, Options, Timed};
use crate::target::peers::{self, Peer};
use std::path::Path;
use std::process::ExitCode;

/// Of float results to the reference interpreter's, relative to the largest score or to 1.
const TOLERANCE: f32 = 1e-4;

impl Bench<'_> {
    fn options(&self) -> Options {
        Options { native: self.args.native, seconds: self.seconds() }
    }

    pub(super) fn host_int8(&self) -> Done {
        let (network, images) = self.quantised()?;
        let places = plan(network.lowered(), 1);
        let metadata = self.metadata(Precision::Int8);
        let (timed, outputs) =
            measure_int8(&network, &places, &metadata, &images, self.options()).map_err(bench_failed)?;
        let identical = self.interpreted(&network, &images) == outputs;
        if self.args.json {
            self.json(&timed, "identical", identical.into())?;
        } else {
            self.host_table("int8", &timed)?;
        }
        self.verdict(identical)
    }

    pub(super) fn host_float(&self) -> Done {
        let bound: Bound = self.project.bind(&self.design, &self.weights).map_err(failed(&self.project))?;
        let metadata = self.metadata(Precision::Float);
        let places = plan(&bound.lowered, 4);
        let (timed, outputs) =
            measure_float(&bound, &places, &metadata, &self.images, self.options()).map_err(bench_failed)?;
        let images = self.images.chunks(self.image_size());
        let wanted: Vec<f32> =
            images.flat_map(|image| crate::lower::interpret::interpret(&bound, image)).collect();
        let largest = |values: &mut dyn Iterator<Item = f32>| {
            // What is not a number is the largest difference there is.
            values.fold(0.0f32, |m, x| if x.is_nan() { f32::INFINITY } else { m.max(x.abs()) })
        };
        let missing = if outputs.len() == wanted.len() { 0.0 } else { f32::INFINITY };
        let mut differences = wanted.iter().zip(&outputs).map(|(a, b)| a - b).chain([missing]);
        let scale = largest(&mut wanted.iter().copied()).max(1.0);
        let difference = largest(&mut differences) / scale;
        if self.args.json {
            self.json(&timed, "largest_difference", difference.into())?;
        } else {
            self.host_table("float", &timed)?;
            let (count, which) = (self.image_count(), self.which);
            out(format_args!(
                "results on {count} {which} images differ from the reference interpreter by {difference:.1e} at most, \
                 relative to the largest"
            ))?;
        }
        Ok(if difference <= TOLERANCE { ExitCode::SUCCESS } else { ExitCode::from(exit::DIFFERENT) })
    }

    fn host_table(&self, precision: &str, timed: &Timed) -> Result<(), Failure> {
        out(format_args!("{}, {precision} on this machine ({})", self.origin, timed.about))?;
        let rows = timed.layers.iter().map(|l| (l.name.as_str(), l.kind.as_str(), l.macs, l.nanoseconds));
        out(format_args!("{}", table("nanoseconds", rows, timed.nanoseconds)))?;
        out(format_args!(
            "one thread, median of {} inferences; the fastest took {} ns\narena {} bytes",
            timed.repetitions, timed.fastest_nanoseconds, timed.arena_bytes
        ))
    }

    /// hytc's code, ONNX Runtime and tract, one after the other.
    pub(super) fn peers(&self, python: &Path) -> Done {
        let (project, seconds) = (&self.project, self.seconds());
        let Fact::Map { c, h, w } = self.design.network.input_fact() else {
            return Err(Failure::new(super::common::error("the network takes no image")));
        };
        let ours = |precision, timed: Timed| Peer {
            engine: format!("hytc ({})", timed.about),
            precision,
            nanoseconds: timed.nanoseconds,
            fastest_nanoseconds: timed.fastest_nanoseconds,
            repetitions: timed.repetitions,
        };
        let mut found = Vec::new();
        let bound = project.bind(&self.design, &self.weights).map_err(failed(project))?;
        let (network, images) = self.quantised()?;
        for native in [false, true] {
            let options = Options { native, seconds };
            let (places, metadata) = (plan(&bound.lowered, 4), self.metadata(Precision::Float));
            let timed = measure_float(&bound, &places, &metadata, &self.images, options);
            found.push(ours("float", timed.map_err(bench_failed)?.0));
            let (places, metadata) = (plan(network.lowered(), 1), self.metadata(Precision::Int8));
            let timed = measure_int8(&network, &places, &metadata, &images, options);
            found.push(ours("int8", timed.map_err(bench_failed)?.0));
        }
        let float = project.onnx(&self.design, &bound, None).map_err(failed(project))?;
        let int8 = project.onnx_int8(&self.design, &network, None).map_err(failed(project))?;
        for (precision, onnx) in [("float", &float), ("int8", &int8)] {
            let peer = peers::onnxruntime(python, onnx, precision, (c, h, w), seconds);
            found.push(peer.map_err(bench_failed)?);
        }
        #[cfg(feature = "verify")]
        found.push(peers::tract(&float, (c, h, w), seconds).map_err(bench_failed)?);
        if self.args.json {
            print_json(&found)?;
            return Ok(ExitCode::SUCCESS);
        }
        out(format_args!("{}, one thread, one image\n", self.origin))?;
        out(format_args!("{:<44} {:<6} {:>12} {:>12}", "engine", "", "median ns", "fastest ns"))?;
        for p in &found {
            let Peer { engine, precision, nanoseconds, fastest_nanoseconds, .. } = p;
            out(format_args!("{engine:<44} {precision:<6} {nanoseconds:>12} {fastest_nanoseconds:>12}"))?;
        }
        if cfg!(not(feature = "verify")) {
            out("tract was not timed: this hytc was built without the feature `verify`")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
