//! The typed spec: what a `.hyt` file says once it has been checked.
//!
//! Quantities are in base units: bytes, seconds, joules, hertz, plain counts; fractions in 0..1.

use crate::source::Span;
use std::sync::Arc;

/// A checked file. The space itself is [`crate::space::Space`].
#[derive(Debug, Clone)]
pub struct Spec {
    /// The file's name without directory and extension.
    pub name: String,
    /// Input, classes and data.
    pub task: Task,
    /// The devices, in the order of the file.
    pub devices: Vec<DeviceRef>,
    /// Objectives, requirements, choice.
    pub goal: Goal,
    /// How to search.
    pub search: Search,
    /// The program that evaluates trials; without it they are trained with burn.
    pub evaluate: Option<Evaluate>,
    /// How the chosen network is trained in the end.
    pub finish: Training,
    /// What int8 may cost; without it, whatever it does.
    pub int8: Option<Int8>,
    /// What to emit.
    pub emits: Vec<Emit>,
}

/// What the network is for.
#[derive(Debug, Clone)]
pub struct Task {
    /// Height, width, channels of the image.
    pub input: (usize, usize, usize),
    /// Class names, in the order of the labels.
    pub classes: Vec<String>,
    /// Training images; a spec without them can be checked, costed and emitted, not trained.
    pub train: Option<DataSource>,
    /// Test images.
    pub test: Option<DataSource>,
    /// Part of the training images held out for validation, in 0..1.
    pub validation: f64,
    /// Subtracted from pixels scaled to 0..1, one per channel.
    pub mean: Vec<f32>,
    /// Divides afterwards, one per channel.
    pub std: Vec<f32>,
    /// Random changes to training images.
    pub augment: Augment,
    /// Where the task stands.
    pub span: Span,
}

/// Random changes to a training image; all off by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Augment {
    /// Mirrors left and right with probability one half.
    pub flip: bool,
    /// Pads by this many zero pixels on every side and crops back at a random place.
    pub crop: usize,
    /// Adds a random value in ±this to pixels scaled to 0..1.
    pub brightness: f32,
    /// Scales the distance from the image's mean by a random factor in 1 ± this.
    pub contrast: f32,
}

/// Where images come from. Paths are as written; relative ones are relative to the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSource {
    /// The format.
    pub format: DataFormat,
    /// Path or prefix.
    pub path: String,
    /// Where the spec says so.
    pub span: Span,
}

/// Formats of data sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// `idx("dir/train")`: `dir/train-images-idx3-ubyte[.gz]` and `dir/train-labels-idx1-ubyte[.gz]`.
    Idx,
    /// `folder("dir")`: `dir/<class>/*.{jpg,jpeg,png}`, class names as in the task.
    Folder,
    /// `cifar("file.bin")`: one or more records of a label byte and 3072 pixel bytes (planes).
    Cifar,
}

/// A device that the file names.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRef {
    /// The name in the file.
    pub name: String,
    /// A built-in profile's name, or a path to a YAML file.
    pub profile: String,
    /// Where.
    pub span: Span,
}

/// What a quantity measures; its value is in the base unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// A number without a unit.
    Plain,
    /// A number of things.
    Count,
    /// A part of a whole, 0..1.
    Fraction,
    /// Bytes.
    Bytes,
    /// Seconds.
    Time,
    /// Joules.
    Energy,
}

/// Something that can be measured or computed of a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Metric {
    /// Fraction of images classified rightly, 0..1. Known only after training.
    Accuracy,
    /// Predicted seconds per inference on a device.
    Latency,
    /// Bytes of RAM: the arena, which holds the input too.
    Ram,
    /// Bytes of flash: weights and code.
    Flash,
    /// Weights and biases after folding.
    Params,
    /// Multiply-accumulate operations of one inference.
    Macs,
    /// Joules per inference on a device (latency times the profile's active power).
    Energy,
    /// Something that only the spec's own program knows of.
    Other(Arc<str>),
}

impl Metric {
    /// All that hytc knows.
    pub const ALL: [Metric; 7] = [
        Metric::Accuracy,
        Metric::Latency,
        Metric::Ram,
        Metric::Flash,
        Metric::Params,
        Metric::Macs,
        Metric::Energy,
    ];

    /// The name in the language.
    pub fn name(&self) -> &str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::Latency => "latency",
            Metric::Ram => "ram",
            Metric::Flash => "flash",
            Metric::Params => "params",
            Metric::Macs => "macs",
            Metric::Energy => "energy",
            Metric::Other(name) => name,
        }
    }

    /// The metric of a name, if hytc knows it.
    pub fn named(name: &str) -> Option<Metric> {
        Metric::ALL.into_iter().find(|m| m.name() == name)
    }

    /// Whether hytc's value is that on a device.
    pub fn is_by_device(&self) -> bool {
        matches!(self, Metric::Latency | Metric::Ram | Metric::Flash | Metric::Energy)
    }

    /// What it measures; `None` for what hytc does not know.
    pub fn dimension(&self) -> Option<Dimension> {
        Some(match self {
            Metric::Accuracy => Dimension::Fraction,
            Metric::Latency => Dimension::Time,
            Metric::Ram | Metric::Flash => Dimension::Bytes,
            Metric::Params | Metric::Macs => Dimension::Count,
            Metric::Energy => Dimension::Energy,
            Metric::Other(_) => return None,
        })
    }

    /// Whether more of it is better; `None` for what hytc does not know.
    pub fn is_good(&self) -> Option<bool> {
        match self {
            Metric::Other(_) => None,
            known => Some(*known == Metric::Accuracy),
        }
    }
}

/// A metric, on a device where it needs one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Measure {
    /// What.
    pub metric: Metric,
    /// Where: an index into [`Spec::devices`].
    pub device: Option<usize>,
    /// What its values measure.
    pub dimension: Dimension,
    /// Whether hytc computes it before a trial is run. If not, the training or the spec's program
    /// gives it.
    pub computed: bool,
}

impl Measure {
    /// The accuracy of the training with burn.
    pub fn accuracy() -> Measure {
        let (metric, dimension) = (Metric::Accuracy, Dimension::Fraction);
        Measure { metric, device: None, dimension, computed: false }
    }

    /// Its name in results, `latency on board`. `devices` are the names in the order of the file.
    pub fn name(&self, devices: &[String]) -> String {
        match self.device.and_then(|d| devices.get(d)) {
            Some(device) => format!("{} on {device}", self.metric.name()),
            None => self.metric.name().to_owned(),
        }
    }
}

/// What to make large or small.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Maximise rather than minimise.
    pub maximize: bool,
    /// What.
    pub measure: Measure,
    /// From where to where a value matters, low before high, in base units: beyond the better end
    /// nothing is gained, and the worse end is a requirement.
    pub range: Option<(f64, f64)>,
    /// Where the spec says so.
    pub span: Span,
}

/// A limit that every result must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    /// What.
    pub measure: Measure,
    /// The value must be at least the limit, rather than at most.
    pub at_least: bool,
    /// The limit in base units.
    pub limit: f64,
    /// Where the spec says so.
    pub span: Span,
}

/// Which point of the front becomes the result.
#[derive(Debug, Clone, PartialEq)]
pub enum Pick {
    /// The best in one measure (ties: the best in the other objectives in turn).
    Best(Measure),
    /// The point farthest from the line (plane) through the front's extremes, objectives scaled to
    /// their ranges on the front.
    Knee,
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Goal {
    /// At least one, at most four, no measure twice.
    pub objectives: Vec<Objective>,
    /// All must hold.
    pub requirements: Vec<Requirement>,
    /// Defaults to the best in the first objective.
    pub pick: Pick,
}

/// Search algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Uniform sampling.
    Random,
    /// NSGA-II (Deb et al. 2002).
    Nsga2,
    /// Multi-objective Bayesian optimisation.
    Mobo,
    /// Multi-objective tree-structured Parzen estimators (Ozaki et al. 2022).
    Tpe,
    /// Pareto local search (Paquete, Chiarandini and Stuetzle 2004).
    LocalSearch,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::Mobo, Algorithm::Nsga2, Algorithm::Tpe, Algorithm::LocalSearch, Algorithm::Random];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Mobo => "mobo",
            Algorithm::Nsga2 => "nsga2",
            Algorithm::Tpe => "tpe",
            Algorithm::LocalSearch => "local_search",
            Algorithm::Random => "random",
        }
    }

    /// That of a name.
    pub fn named(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|a| a.name() == name)
    }
}

/// Models of what is not computed, for [`Algorithm::Mobo`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Surrogate {
    /// What suits the space and the number of results.
    #[default]
    Auto,
    /// Gaussian processes.
    Gp,
    /// Random forests.
    Forest,
}

impl Surrogate {
    /// Every kind.
    pub const ALL: [Surrogate; 3] = [Surrogate::Auto, Surrogate::Gp, Surrogate::Forest];

    /// As in `surrogate = gp`.
    pub fn name(self) -> &'static str {
        match self {
            Surrogate::Auto => "auto",
            Surrogate::Gp => "gp",
            Surrogate::Forest => "forest",
        }
    }

    /// That of a name.
    pub fn named(name: &str) -> Option<Surrogate> {
        Surrogate::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// Points to try first.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedPoints {
    /// Where they are.
    pub source: SeedSource,
    /// Where the spec says so.
    pub span: Span,
}

/// Where seed points come from. Paths are as written; relative ones are relative to the spec.
#[derive(Debug, Clone, PartialEq)]
pub enum SeedSource {
    /// `point(w1 = 16, mixer = attention)`: this one.
    Point(crate::space::Point),
    /// `file("reference.json")`: decisions in JSON or YAML.
    File(String),
    /// `study("earlier.study")`: the front of an earlier study.
    Study(String),
}

/// How to search.
#[derive(Debug, Clone)]
pub struct Search {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Trainings in all.
    pub trials: usize,
    /// Trials before the model is used; where the file does not say, see
    /// [`Settings::usual_initial`](crate::search::Settings::usual_initial).
    pub initial: Option<usize>,
    /// Seed of the whole study.
    pub seed: u64,
    /// Trials that may run at once. The study depends on this number, not on how many do run at once.
    pub workers: usize,
    /// The models of `mobo`.
    pub surrogate: Surrogate,
    /// The reference point of hypervolumes, by objective in base units.
    pub reference: Option<Vec<f64>>,
    /// What to try first.
    pub seed_points: Vec<SeedPoints>,
    /// A trial is stopped after an epoch once the probability that its result will be on the front
    /// is below this; 0: never.
    pub hopeless: f64,
    /// How a trial is trained.
    pub train: Training,
    /// Where.
    pub span: Span,
}

/// A program that evaluates trials, see [`crate::evaluate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluate {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it returns of a trial.
    pub metrics: Vec<Returned>,
    /// Seconds that a trial may take.
    pub timeout: Option<f64>,
    /// It is given the network as an ONNX file.
    pub onnx: bool,
    /// Where.
    pub span: Span,
}

/// A metric that a program returns.
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// Its name in the program's answers, `latency on board`.
    pub key: String,
    /// What it is.
    pub measure: Measure,
    /// How much of the base unit one of the program's is: 0.001 for milliseconds.
    pub scale: f64,
    /// Where.
    pub span: Span,
}

/// Optimisers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// AdamW (arXiv 1711.05101), betas 0.9 and 0.999.
    AdamW,
    /// Stochastic gradient descent.
    Sgd {
        /// Momentum, 0..1.
        momentum: f64,
    },
}

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Passes over the data.
    pub epochs: usize,
    /// Images of a step.
    pub batch: usize,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Weight decay (decoupled for AdamW); not applied to biases and normalisations.
    pub weight_decay: f64,
    /// Part of all steps over which the rate rises linearly from zero; then it falls by a cosine.
    pub warmup: f64,
    /// Part of a label spread over the other classes.
    pub label_smoothing: f64,
    /// Stop after so many epochs without a better validation accuracy; 0: never.
    pub patience: usize,
    /// Part of the training images used, 0..1; always the same ones.
    pub subset: f64,
}

/// What int8 may cost in accuracy, and the fine-tuning of networks that it costs more.
#[derive(Debug, Clone, PartialEq)]
pub struct Int8 {
    /// The accuracy that may be lost on the validation images, in 0..1.
    pub loss: f64,
    /// How a network is trained on, with the rounding of int8.
    pub train: Training,
    /// Where the spec says so.
    pub span: Span,
}

/// Numbers of emitted code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floating point.
    #[default]
    Float,
    /// 8-bit integers.
    Int8,
}

/// What to emit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emit {
    /// ONNX or Rust.
    pub target: EmitTarget,
    /// Numbers.
    pub precision: Precision,
    /// Where.
    pub span: Span,
}

/// Forms of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmitTarget {
    /// An ONNX file.
    Onnx,
    /// A `no_std` crate.
    Rust,
}
