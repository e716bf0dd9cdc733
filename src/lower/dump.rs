//! A lowered network as text, one line per step.

use super::Lowered;
use std::fmt;

impl fmt::Display for Lowered {
    /// `conv_1 = conv(input) + relu: 8x48x48`, ...
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "input: {}", self.fact(self.input))?;
        let name = |t: &super::TensorId| self.tensor(*t).map_or("?", |t| t.name.as_str());
        for step in &self.steps {
            let input = step.inputs.first().map(|&t| self.fact(t)).unwrap_or_else(|| self.fact(self.input));
            let inputs: Vec<&str> = step.inputs.iter().map(name).collect();
            write!(f, "{} = {}({})", step.name, step.kernel.name(input), inputs.join(", "))?;
            if let Some(act) = step.act {
                write!(f, " + {}", act.name())?;
            }
            writeln!(f, ": {}", self.fact(step.output))?;
            for slot in step.slots.iter().filter_map(|&s| self.slot(s)) {
                writeln!(f, "    {} {:?} = {}", slot.name, slot.shape, slot.recipe)?;
            }
        }
        writeln!(f, "output: {}", name(&self.output))
    }
}

impl fmt::Display for super::ir::Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::ir::Recipe::{Copy, FoldedBias, NormScale, NormShift, ScaledWeight};
        match self {
            Copy(p) => f.write_str(p),
            ScaledWeight(p, norm) => write!(f, "{p} scaled by {}", norm.node),
            FoldedBias(Some(p), norm) => write!(f, "{p} folded with {}", norm.node),
            FoldedBias(None, norm) => write!(f, "shift of {}", norm.node),
            NormScale(norm) => write!(f, "scale of {}", norm.node),
            NormShift(norm) => write!(f, "shift of {}", norm.node),
        }
    }
}
