//! What a name such as `latency on board` measures: something that hytc knows, or that the spec's
//! program returns.

use super::names::did_you_mean;
use super::spec::{DeviceRef, Measure, Metric, Returned};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use crate::syntax::ast;

/// What names can mean in a spec.
#[derive(Clone, Copy)]
pub(super) struct Measures<'a> {
    /// The devices.
    pub(super) devices: &'a [DeviceRef],
    /// What the program returns; `None` if trials are trained with burn.
    pub(super) returned: Option<&'a [Returned]>,
    /// Whether that is all it returns.
    pub(super) complete: bool,
    /// Names that damaged lines seem to define.
    pub(super) lost: &'a [&'a str],
}

impl Measures<'_> {
    /// The devices' names.
    pub(super) fn device_names(&self) -> Vec<String> {
        self.devices.iter().map(|d| d.name.clone()).collect()
    }

    /// What is meant.
    pub(super) fn resolve(&self, m: &ast::Measure, found: &mut Vec<Diagnostic>) -> Option<Measure> {
        let device = match &m.device {
            Some(d) => Some(device(d, self.devices, self.lost, found)?),
            None => None,
        };
        let name = m.metric.name.as_str();
        let only = if self.devices.len() == 1 { Some(0) } else { None };
        let returned = self.returned.unwrap_or_default();
        let says =
            |r: &&Returned, on: Option<usize>| r.measure.metric.name() == name && r.measure.device == on;
        // What the program is said to return counts, also where hytc could compute it.
        let told = returned.iter().find(|r| says(r, device)).or_else(|| {
            let only = only.filter(|_| device.is_none())?;
            returned.iter().find(|r| says(r, Some(only)))
        });
        if let Some(r) = told {
            return Some(r.measure.clone());
        }
        let Some((metric, dimension)) = Metric::named(name).and_then(|m| Some((m.clone(), m.dimension()?)))
        else {
            if self.complete && !self.lost.contains(&name) {
                found.push(self.unknown(m));
            }
            return None;
        };
        let computed = metric != Metric::Accuracy;
        if let (false, Some(_)) = (computed, self.returned) {
            if !self.complete {
                return None;
            }
            let d =
                Diagnostic::error(codes::METRIC, m.metric.span, format!("the program returns no `{name}`"));
            found.push(d.help(format!("add it to the `metrics` of `evaluate`: `metrics = [{name} in %]`")));
            return None;
        }
        if !metric.is_by_device() {
            if let Some(d) = &m.device {
                found.push(
                    Diagnostic::error(codes::DEVICE, d.span, format!("{name} does not depend on a device"))
                        .help(format!("write `{name}` alone")),
                );
                return None;
            }
            return Some(Measure { metric, device: None, dimension, computed });
        }
        // The only device is meant.
        match device.or(only) {
            Some(_) => Some(Measure { metric, device: device.or(only), dimension, computed }),
            None => {
                found.push(self.which(name, m.metric.span));
                None
            }
        }
    }

    fn which(&self, name: &str, span: Span) -> Diagnostic {
        let names: Vec<&str> = self.devices.iter().map(|k| k.name.as_str()).collect();
        if names.is_empty() {
            let help = "add `device board = \"stm32f446\"` and write `on board`";
            return Diagnostic::error(codes::DEVICE, span, format!("{name} needs a device")).help(help);
        }
        Diagnostic::error(codes::DEVICE, span, format!("on which device is this {name}?"))
            .help(format!("add `on {}`", names.join("` or `on ")))
    }

    fn unknown(&self, m: &ast::Measure) -> Diagnostic {
        let name = m.metric.name.as_str();
        let returned = self.returned.unwrap_or_default();
        let elsewhere = returned.iter().find(|r| r.measure.metric.name() == name);
        if let Some(r) = elsewhere {
            let on = m.device.as_ref().map_or_else(String::new, |d| format!(" on {}", d.name));
            let message = format!("the program returns `{}`, not `{name}{on}`", r.key);
            return Diagnostic::error(codes::METRIC, m.metric.span, message)
                .also(r.span, "returned here")
                .help(format!("write `{}`, or add the other to `metrics`", r.key));
        }
        let known = Metric::ALL;
        let names = known.iter().map(Metric::name).chain(returned.iter().map(|r| r.measure.metric.name()));
        let all = names.clone().collect::<Vec<_>>().join(", ");
        let all = match self.returned {
            Some(_) => {
                format!("there are {all}; add it to the `metrics` of `evaluate` if the program returns it")
            }
            None => format!("there are {all}; `evaluate command(..)` names a program that returns others"),
        };
        Diagnostic::error(codes::METRIC, m.metric.span, format!("there is no metric `{name}`"))
            .help(did_you_mean(name, names, &all))
    }
}

/// The index of a device.
pub(super) fn device(
    d: &ast::Ident,
    devices: &[DeviceRef],
    lost: &[&str],
    found: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let at = devices.iter().position(|k| k.name == d.name);
    if at.is_none() && !lost.contains(&d.name.as_str()) {
        let names: Vec<&str> = devices.iter().map(|k| k.name.as_str()).collect();
        let all = match names.as_slice() {
            [] => format!("add `device {} = \"stm32f446\"`", d.name),
            some => format!("the devices are {}", some.join(", ")),
        };
        let candidates = names.iter().chain(lost).copied();
        let message = format!("there is no device `{}`", d.name);
        found.push(
            Diagnostic::error(codes::DEVICE, d.span, message).help(did_you_mean(&d.name, candidates, &all)),
        );
    }
    at
}
