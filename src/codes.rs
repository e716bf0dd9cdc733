//! The codes of diagnostics, in one place, so that none is used twice. The first two digits name
//! the stage: 01 syntax, 02 names, 03 types and units, 04 values, 05 space, 06 shapes and graph,
//! 07 goals and devices, 08 data, 09 training and search, 10 lowering and emission, 11 lock.

/// The text does not follow the grammar.
pub const SYNTAX: &str = "E0101";
/// A name that nothing defines.
pub const UNKNOWN_NAME: &str = "E0201";
/// A name defined twice.
pub const DUPLICATE: &str = "E0202";
/// An item or setting that must be there is not.
pub const MISSING: &str = "E0203";
/// A file named by `use` cannot be read.
pub const USE: &str = "E0204";
/// A block that contains itself.
pub const RECURSION: &str = "E0205";
/// A value of the wrong type.
pub const TYPE: &str = "E0301";
/// A quantity with the wrong unit, or none.
pub const UNIT: &str = "E0302";
/// Too many, too few or unknown arguments.
pub const ARGUMENTS: &str = "E0303";
/// A value outside its range.
pub const VALUE: &str = "E0401";
/// Two decisions with one path.
pub const SAME_PATH: &str = "E0501";
/// A decision without alternatives, or with the same one twice.
pub const CHOICE: &str = "E0502";
/// Constraints that no point satisfies.
pub const UNSATISFIABLE: &str = "E0503";
/// A `repeat` whose count has no known bound.
pub const UNBOUNDED: &str = "E0504";
/// A condition on a decision that does not exist, on several at once, or on a value it never has.
pub const DECISION: &str = "E0505";
/// A point given from outside does not fit the space.
pub const POINT: &str = "E0506";
/// A decision that can never matter.
pub const USELESS_DECISION: &str = "W0501";
/// Shapes were checked on a sample only.
pub const SAMPLED: &str = "W0502";
/// Something defined and never used.
pub const UNUSED: &str = "W0201";
/// An operator cannot take its inputs' shapes.
pub const SHAPE: &str = "E0601";
/// The network is not a well-formed graph.
pub const GRAPH: &str = "E0602";
/// An objective or requirement on something that is not measured.
pub const METRIC: &str = "E0701";
/// A device that is missing, unknown, or has a bad profile.
pub const DEVICE: &str = "E0702";
/// Objectives that contradict or repeat each other.
pub const GOAL: &str = "E0703";
/// A requirement that no point of the space can meet.
pub const IMPOSSIBLE: &str = "E0704";

/// The network cannot be emitted as Rust.
pub const EMIT_RUST: &str = "E1021";

/// A weight cannot be written to ONNX: it is not finite, or there are too many.
pub const ONNX_WEIGHTS: &str = "E1041";
/// A window of a pooling sees nothing but padding.
pub const ONNX_WINDOW: &str = "E1042";
/// The lowered network contradicts itself.
pub const ONNX_DEFECT: &str = "E1043";
/// Calibration shows values that no scale holds.
pub const CALIBRATION: &str = "E1060";
/// A step cannot be computed in eight bits.
pub const QUANTISE: &str = "E1061";
/// The weights do not fit the network.
pub const WEIGHTS: &str = "E1001";
/// A precision that cannot be emitted.
pub const PRECISION: &str = "E1002";
/// Images are not where the spec says.
pub const DATA_MISSING: &str = "E0801";
/// A file of images or labels is damaged.
pub const DATA_CORRUPT: &str = "E0802";
/// Images or labels do not fit the task.
pub const DATA_MISFIT: &str = "E0803";
