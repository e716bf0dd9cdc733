//! What the operators of a network tell a surrogate model for free, without building the network.

use super::Project;
use crate::graph::{Fact, Op};
use crate::search::{Features, Sketch};
use crate::space::{Listener, Point, SearchSpace};

/// Stages told apart: from the input's resolution to a 32nd of it and less.
const STAGES: usize = 6;

impl Project {
    fn tally(&self) -> Tally {
        let side = match self.checked.space.input() {
            Fact::Map { h, .. } => h.max(1) as f64,
            _ => 1.0,
        };
        Tally { side, ..Tally::default() }
    }
}

impl Features for Project {
    /// Of a network's operators, on scales where equal distances mean about equal changes. Amounts:
    /// logarithms (to base 2) of weights and of multiply-accumulate operations. General: depth (layers with
    /// weights), the share of attention among them. Sizes: for each stage (the layers at one
    /// resolution) the logarithms of its width and of its widest layer on tokens. The width is that
    /// of the last dense convolution without an activation behind it (what a bottleneck ends with, not
    /// what it expands to), or where there is none of the last dense convolution. `None` where the point is no network.
    fn sketch(&self, point: &Point) -> Option<Sketch> {
        let mut tally = self.tally();
        self.checked.space.operators(point, &mut tally)?;
        Some(tally.sketch())
    }

    /// In one run of the project's space, which the other is taken to be.
    fn repaired(
        &self,
        space: &dyn SearchSpace,
        wish: &[Option<u32>],
        rng: &mut dyn rand::Rng,
    ) -> Option<(Point, Option<Sketch>)> {
        debug_assert_eq!(space.decisions(), self.checked.space.decisions(), "it is the project's");
        let mut tally = self.tally();
        let point = self.checked.space.repair_with(wish, rng, &mut tally)?;
        Some((point, Some(tally.sketch())))
    }
}

/// What is counted while operators go by.
#[derive(Default)]
struct Tally {
    /// Of the image, in pixels.
    side: f64,
    /// Width, widest layer on tokens, width of the last convolution with an activation.
    stages: [[f64; 3]; STAGES],
    /// The last convolution, if nothing has come behind it that says what it is: stage and width.
    last: Option<(usize, f64)>,
    /// The stage.
    at: usize,
    depth: f64,
    attention: f64,
    weights: f64,
    macs: f64,
}

impl Listener for Tally {
    fn begin(&mut self) {
        *self = Tally { side: self.side, ..Tally::default() };
    }

    fn operator(&mut self, op: &Op, input: Fact, output: Fact) {
        if let Fact::Map { h, .. } = output {
            self.at = ((self.side / h.max(1) as f64).log2().round().max(0.0) as usize).min(STAGES - 1);
        }
        let cin = input.channels();
        let own = match *op {
            Op::Conv { out, window, groups, .. } => {
                if groups == 1 {
                    let before = self.last.replace((self.at, log2(out)));
                    end(&mut self.stages, before, 0);
                }
                (out * cin / groups.max(1) * window.kernel * window.kernel) as f64
            }
            Op::Linear { out, .. } => {
                if let (Fact::Tokens { .. }, Some([_, hidden, _])) = (output, self.stages.get_mut(self.at)) {
                    *hidden = hidden.max(log2(out));
                }
                (out * cin) as f64
            }
            Op::Attention { heads, head_dim } => {
                self.attention += 1.0;
                if let Fact::Tokens { groups, tokens, .. } = input {
                    self.macs += 2.0 * (groups * tokens * tokens * heads * head_dim) as f64;
                }
                (4 * cin * heads * head_dim) as f64
            }
            Op::Activation(_) => return end(&mut self.stages, self.last.take(), 2),
            _ => return,
        };
        self.depth += 1.0;
        self.weights += own;
        self.macs += own * output.rows() as f64;
    }
}

impl Tally {
    fn sketch(mut self) -> Sketch {
        end(&mut self.stages, self.last, 0);
        let share = self.attention / f64::max(self.depth, 1.0);
        Sketch {
            amounts: vec![f64::max(self.weights, 1.0).log2(), f64::max(self.macs, 1.0).log2()],
            general: vec![self.depth, share],
            sizes: self.stages.iter().flat_map(|s| [if s[0] > 0.0 { s[0] } else { s[2] }, s[1]]).collect(),
        }
    }
}

/// Notes the width of a convolution in its stage.
fn end(stages: &mut [[f64; 3]; STAGES], convolution: Option<(usize, f64)>, place: usize) {
    let width = convolution.and_then(|(at, width)| Some((stages.get_mut(at)?.get_mut(place)?, width)));
    if let Some((place, width)) = width {
        *place = width;
    }
}

fn log2(n: usize) -> f64 {
    (n.max(1) as f64).log2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Heads that do not divide the width are refused, and a block that may be left out has decisions of its own.
    const SPEC: &str = r#"
task {
  input = image(32, 32, 3)
  classes = ["a", "b"]
  train = folder("x/train")
}
space {
    let w = choice(8, 12, 16, 24)
    conv(w, 3, stride = 2) > batch_norm > relu
    optional local { conv(choice(8, 16, 32), 1) > relu > conv(w, choice(1, 3)) }
    let heads = choice(1, 2, 3, 4, 5)
    unfold(2) > attention(heads) > linear(w * choice(1, 2)) > fold
    global_avg_pool > linear(classes)
    where heads divides w
}
device board = "stm32f446"
goal { maximize accuracy }
"#;

    #[test]
    fn a_wish_repaired_in_one_run_has_the_point_and_the_features_of_two() {
        let project = Project::from_text(std::path::Path::new("a.hyt"), SPEC.to_owned()).unwrap();
        let space = &project.checked.space;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut refused = 0;
        for _ in 0..300 {
            // A value in five is open.
            let wish: Vec<Option<u32>> = space
                .decisions()
                .iter()
                .map(|d| rng.random_bool(0.8).then(|| rng.random_range(0..d.values.len() as u32)))
                .collect();
            let mut other = rng.clone();
            let expected = space.repair(&wish, &mut rng).map(|p| (p.clone(), project.sketch(&p)));
            assert_eq!(project.repaired(space, &wish, &mut other), expected, "{wish:?}");
            assert_eq!(rng, other, "as many numbers are drawn");
            let Some((point, Some(_))) = expected else { panic!("{wish:?} can be repaired") };
            let pairs = point.0.iter().zip(&wish);
            refused += usize::from(pairs.into_iter().any(|(p, w)| p.is_some() && w.is_some() && p != w));
        }
        assert!((20..200).contains(&refused), "{refused}: what the constraint refuses is let go of");
    }
}
