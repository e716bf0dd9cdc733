//! The training loop, and evaluation.

use super::checkpoint::{Checkpoint, CheckpointError, State};
use super::kernels::par;
use super::net::{training_device, values, Mode, Model, Plan};
use super::schedule::{learning_rate, optimizer};
use super::{ops, tape, Control, EpochStats, Evaluation, Progress, TrainData, TrainError, Trained};
use crate::check::spec::Training;
use crate::data::{self, Dataset, Pipeline};
use crate::graph::{Fact, Network};
use crate::lower::Bound;
use crate::quant::Quantised;
use crate::weights::Weights;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Instant;

/// Images of a step of evaluation.
const EVALUATION_BATCH: usize = 64;

/// Trains a network from [`Weights::init`].
///
/// Only images in `data.train` (or the part that `config.subset` says) are trained on; after every
/// epoch, accuracy is measured on `data.validation`, and the weights of the best epoch are kept.
/// See [`super`] for `threads`.
///
/// # Errors
/// See [`TrainError`].
pub fn train(
    network: &Network,
    data: &TrainData,
    config: &Training,
    seed: u64,
    threads: usize,
    control: &dyn Control,
) -> Result<Trained, TrainError> {
    with_threads(threads, || run(network, data, config, seed, control, None))?
}

/// Continues a training after the epochs that a checkpoint of it has seen; the result is the same,
/// bit for bit, as without the interruption (but for [`EpochStats::seconds`]).
///
/// # Errors
/// See [`TrainError`]; also if the checkpoint is of another training.
pub fn resume(
    network: &Network,
    data: &TrainData,
    config: &Training,
    seed: u64,
    threads: usize,
    control: &dyn Control,
    checkpoint: Checkpoint,
) -> Result<Trained, TrainError> {
    with_threads(threads, || run(network, data, config, seed, control, Some(checkpoint)))?
}

/// Runs `f` where [`par`] and burn see a pool of so many threads.
fn with_threads<T: Send>(threads: usize, f: impl FnOnce() -> T + Send) -> Result<T, TrainError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("train-{i}"));
    Ok(pool.build().map_err(|e| TrainError::Threads(e.to_string()))?.install(f))
}

/// What [`resume`] needs to know that a checkpoint is of this training.
fn key(network: &Network, data: &TrainData, images: &[u32], config: &Training, seed: u64) -> String {
    let list = |l: &[u32]| crate::hash::sha256(&l.iter().flat_map(|i| i.to_le_bytes()).collect::<Vec<_>>());
    let names: Vec<&str> = network.nodes().map(|n| n.node.name.as_str()).collect();
    let text = format!(
        "{} {names:?} {config:?} {seed} {:?} {} {} {}",
        network.hash(),
        data.pipeline,
        list(images),
        list(&data.validation),
        crate::hash::sha256(&data.images.pixels),
    );
    crate::hash::sha256(text.as_bytes())
}

/// The best epoch so far.
struct Best {
    epoch: usize,
    accuracy: f64,
    loss: f64,
    weights: Weights,
}

fn run(
    network: &Network,
    data: &TrainData,
    config: &Training,
    seed: u64,
    control: &dyn Control,
    checkpoint: Option<Checkpoint>,
) -> Result<Trained, TrainError> {
    let images = images(data, config)?;
    fits(network.input_fact(), network.output_fact(), &data.images, data.classes)?;
    let key = if checkpoint.is_some() || control.wants_checkpoints() {
        key(network, data, &images, config, seed)
    } else {
        String::new()
    };
    let plan = Arc::new(Plan::new(network));
    let mut course = Course {
        optimizer: optimizer(config, &plan),
        model: Model::new(plan.clone(), &Weights::init(network, seed), &training_device()),
        data,
        config,
        seed,
        control,
        images,
        key,
        history: Vec::new(),
        best: None,
    };
    if let Some(c) = checkpoint {
        if c.state.key != course.key {
            return Err(CheckpointError::Other.into());
        }
        c.weights.check(network)?;
        c.best.check(network)?;
        course.optimizer = course
            .optimizer
            .from_bytes(Bytes::from_bytes_vec(c.optimizer))
            .map_err(|e| CheckpointError::Format(e.to_string()))?;
        course.model = Model::new(plan, &c.weights, &training_device());
        let of = c.state.history.iter().find(|e: &&EpochStats| e.epoch == c.state.best_epoch);
        course.best = of.map(|e| Best {
            epoch: e.epoch,
            accuracy: e.validation_accuracy.unwrap_or(0.0),
            loss: e.validation_loss.unwrap_or(f64::INFINITY),
            weights: c.best,
        });
        course.history = c.state.history;
    }
    course.run()
}

/// Trains a network on, from the weights of `bound`, with weights and activations rounded as those of
/// `network` are, which is `bound` quantised. Its scales stay as they are. Gives the weights of the best
/// epoch, as [`train()`] does; an epoch is judged with the rounding too.
///
/// # Errors
/// See [`TrainError`].
pub fn fine_tune(
    bound: &Bound,
    network: &Quantised,
    data: &TrainData,
    config: &Training,
    seed: u64,
    threads: usize,
    control: &dyn Control,
) -> Result<Bound, TrainError> {
    let lowered = &bound.lowered;
    let images = images(data, config)?;
    fits(lowered.fact(lowered.input()), lowered.fact(lowered.output()), &data.images, data.classes)?;
    let arrays = lowered.slots().iter().zip(&bound.arrays).map(|(s, a)| (s.name.clone(), a.clone()));
    let weights = Weights(arrays.collect());
    let trained = with_threads(threads, || {
        let plan = Arc::new(Plan::quantised(network));
        let course = Course {
            optimizer: optimizer(config, &plan),
            model: Model::new(plan, &weights, &training_device()),
            data,
            config,
            seed,
            control,
            images,
            key: String::new(),
            history: Vec::new(),
            best: None,
        };
        course.run()
    })??;
    let mut tuned = bound.clone();
    for (slot, array) in lowered.slots().iter().zip(&mut tuned.arrays) {
        if let Some(own) = trained.weights.0.get(&slot.name) {
            *array = own.clone();
        }
    }
    Ok(tuned)
}

/// The images that a configuration trains on.
fn images(data: &TrainData, config: &Training) -> Result<Vec<u32>, TrainError> {
    let images = data::subset(&data.images.labels, &data.train, config.subset);
    if images.is_empty() {
        return Err(TrainError::NoImages);
    }
    Ok(images)
}

/// A training at the end of an epoch.
struct Course<'a> {
    model: Model,
    optimizer: ModuleOptimizer,
    data: &'a TrainData,
    config: &'a Training,
    seed: u64,
    control: &'a dyn Control,
    images: Vec<u32>,
    /// Of checkpoints; empty if there are to be none.
    key: String,
    history: Vec<EpochStats>,
    best: Option<Best>,
}

impl Course<'_> {
    /// Trains for the epochs that are left.
    fn run(self) -> Result<Trained, TrainError> {
        let Course { data, config, seed, control, images, key, .. } = self;
        let Course { mut model, mut optimizer, mut history, mut best, .. } = self;
        let device = training_device();
        for epoch in history.len() + 1..=config.epochs {
            let since_best = epoch - 1 - best.as_ref().map_or(epoch - 1, |b| b.epoch);
            if config.patience > 0 && since_best >= config.patience {
                break;
            }
            let started = Instant::now();
            let last_accuracy = best.as_ref().filter(|_| !data.validation.is_empty()).map(|b| b.accuracy);
            let mut pass = Pass {
                data,
                config,
                seed,
                control,
                images: &images,
                epoch,
                started,
                accuracy: last_accuracy,
            };
            let (loss, rate) = pass.run(&mut model, &mut optimizer, &device)?;
            let validation = if data.validation.is_empty() {
                None
            } else {
                Some(measure(
                    &model.to_inference(),
                    &data.images,
                    &data.validation,
                    &data.pipeline,
                    data.classes,
                ))
            };
            let steps = pass.steps();
            if validation.as_ref().is_some_and(|v| !v.loss.is_finite()) {
                let why = "the results on the validation images are not finite".into();
                return Err(TrainError::Diverged { epoch, step: steps, why });
            }
            let (accuracy, validation_loss) =
                validation.map_or((0.0, f64::INFINITY), |v| (v.accuracy, v.loss));
            let held_out = !data.validation.is_empty();
            history.push(EpochStats {
                epoch,
                train_loss: loss,
                validation_loss: held_out.then_some(validation_loss),
                validation_accuracy: held_out.then_some(accuracy),
                learning_rate: rate,
                seconds: started.elapsed().as_secs_f64(),
            });
            let better = best.as_ref().is_none_or(|b| {
                !held_out || accuracy > b.accuracy || (accuracy == b.accuracy && validation_loss < b.loss)
            });
            if better {
                best = Some(Best { epoch, accuracy, loss: validation_loss, weights: model.weights() });
            }
            pass.accuracy = held_out.then_some(accuracy);
            pass.tell(steps, loss);
            let hopeless = epoch < config.epochs && history.last().is_some_and(|e| !control.promote(e));
            if let (true, Some(best)) = (control.wants_checkpoints() && epoch < config.epochs, &best) {
                let bytes = optimizer.into_bytes().map_err(|e| CheckpointError::Format(e.to_string()))?;
                let state = State { key: key.clone(), history: history.clone(), best_epoch: best.epoch };
                control.checkpoint(Checkpoint {
                    state,
                    weights: model.weights(),
                    best: best.weights.clone(),
                    optimizer: bytes.to_vec(),
                });
            }
            if hopeless {
                return Err(TrainError::Hopeless { epoch });
            }
        }
        let validation_accuracy = |b: &Best| (!data.validation.is_empty()).then_some(b.accuracy);
        match best {
            Some(b) => Ok(Trained {
                best_epoch: b.epoch,
                validation_accuracy: validation_accuracy(&b),
                weights: b.weights,
                history,
            }),
            None => {
                Ok(Trained { weights: model.weights(), best_epoch: 0, history, validation_accuracy: None })
            }
        }
    }
}

/// One epoch.
struct Pass<'a> {
    data: &'a TrainData,
    config: &'a Training,
    seed: u64,
    control: &'a dyn Control,
    images: &'a [u32],
    epoch: usize,
    started: Instant,
    accuracy: Option<f64>,
}

impl Pass<'_> {
    /// Steps of an epoch. Its batches differ by at most one image in size: no tiny last one, whose
    /// statistics would be poor.
    fn steps(&self) -> usize {
        self.images.len().div_ceil(self.config.batch.max(1))
    }

    fn tell(&self, step: usize, loss: f64) {
        let done = self.images.len() * step / self.steps();
        self.control.progress(&Progress {
            epoch: self.epoch,
            epochs: self.config.epochs,
            step,
            steps: self.steps(),
            loss,
            validation_accuracy: self.accuracy,
            images_per_second: done as f64 / self.started.elapsed().as_secs_f64().max(1e-9),
        });
    }

    /// The input and the labels of a batch.
    fn batch(&self, images: &[u32]) -> (Vec<f32>, Vec<u16>) {
        let data = &self.data.images;
        let mut input = vec![0.0; images.len() * data.image_len()];
        par::portions(&mut input, data.image_len(), |i, out| {
            let image = images[i] as usize;
            self.data.pipeline.augmented(data, image, self.seed, self.epoch, out);
        });
        (input, images.iter().map(|&i| data.labels[i as usize]).collect())
    }

    /// Trains for an epoch; gives the mean loss and the last step's learning rate.
    fn run(
        &mut self,
        model: &mut Model,
        optimizer: &mut ModuleOptimizer,
        device: &Device,
    ) -> Result<(f64, f64), TrainError> {
        let (steps, epoch) = (self.steps(), self.epoch);
        let mut order = self.images.to_vec();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ crate::hash::fnv1a(b"order"));
        rng.set_stream(epoch as u64);
        data::shuffle(&mut order, &mut rng);
        let (mut total, mut rate) = (0.0, 0.0);
        for step in 0..steps {
            let n = order.len();
            let (input, labels) = self.batch(&order[n * step / steps..n * (step + 1) / steps]);
            let batch = labels.len();
            let seen = (epoch - 1) * steps + step;
            let mode = Mode::Train(self.seed ^ crate::hash::fnv1a(&(seen as u64).to_le_bytes()));
            let (logits, statistics) = model.run(values(input, batch, device), batch, mode);
            let loss = tape::record(
                Arc::new(ops::CrossEntropy {
                    classes: self.data.classes,
                    labels: Arc::new(labels),
                    smoothing: self.config.label_smoothing as f32,
                }),
                batch,
                &[&logits],
                &[],
            );
            drop(logits);
            let loss = loss.0;
            let value = loss.clone().into_data().try_to_vec::<f32>().unwrap_or_default();
            let value = f64::from(value.first().copied().unwrap_or(f32::NAN));
            if !value.is_finite() {
                let why = format!("the loss is {value}");
                return Err(TrainError::Diverged { epoch, step: step + 1, why });
            }
            let grads = GradientsParams::from_grads(loss.backward(), &model.parameters);
            rate = learning_rate(self.config, seen, steps * self.config.epochs);
            model.parameters = optimizer.step(rate, model.parameters.clone(), grads);
            model.update_running(batch, seen, &statistics);
            total += value;
            self.tell(step + 1, total / (step + 1) as f64);
            if self.control.stop() {
                return Err(TrainError::Stopped);
            }
        }
        Ok((total / steps as f64, rate))
    }
}

/// A network must take these images and give one value per class.
fn fits(takes: Fact, gives: Fact, data: &Dataset, classes: usize) -> Result<(), TrainError> {
    let input = Fact::Map { c: data.c, h: data.h, w: data.w };
    if takes != input {
        return Err(TrainError::Misfit(format!("it takes {takes}, the images are {input}")));
    }
    if gives != (Fact::Vector { n: classes }) {
        return Err(TrainError::Misfit(format!("it gives {gives}, there are {classes} classes")));
    }
    Ok(())
}

/// The network's logits, accuracy and loss on all images of a data set. See [`super`] for `threads`.
///
/// # Errors
/// If the weights do not fit the network, or the network the data.
pub fn evaluate(
    network: &Network,
    weights: &Weights,
    data: &Dataset,
    pipeline: &Pipeline,
    threads: usize,
) -> Result<Evaluation, TrainError> {
    weights.check(network)?;
    let classes = network.output_fact().elements();
    fits(network.input_fact(), network.output_fact(), data, classes)?;
    if data.is_empty() {
        return Err(TrainError::NoImages);
    }
    if let Some(label) = data.labels.iter().find(|&&l| usize::from(l) >= classes) {
        return Err(TrainError::Misfit(format!("it gives {classes} classes, an image has label {label}")));
    }
    with_threads(threads, || {
        let model = Model::new(Arc::new(Plan::new(network)), weights, &Device::flex());
        let all: Vec<u32> = (0..data.len() as u32).collect();
        measure(&model, data, &all, pipeline, classes)
    })
}

fn measure(model: &Model, data: &Dataset, images: &[u32], pipeline: &Pipeline, classes: usize) -> Evaluation {
    let mut logits = Vec::with_capacity(images.len() * classes);
    for images in images.chunks(EVALUATION_BATCH) {
        let mut input = vec![0.0; images.len() * data.image_len()];
        par::portions(&mut input, data.image_len(), |i, out| pipeline.plain(data, images[i] as usize, out));
        logits.extend(apply(model, input, images.len()));
    }
    let (mut right, mut loss) = (0usize, 0.0f64);
    for (row, &i) in logits.chunks_exact(classes.max(1)).zip(images) {
        let label = usize::from(data.labels[i as usize]);
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        right += usize::from(row.iter().position(|&x| x == top) == Some(label));
        let sum: f64 = row.iter().map(|x| f64::from(x - top).exp()).sum();
        loss += sum.ln() - f64::from(row[label] - top);
    }
    let n = images.len().max(1) as f64;
    Evaluation { logits, classes, accuracy: right as f64 / n, loss: loss / n }
}

fn apply(model: &Model, input: Vec<f32>, batch: usize) -> Vec<f32> {
    let x = values(input, batch, &Device::flex());
    model.run(x, batch, Mode::Infer).0.into_data().try_to_vec::<f32>().unwrap_or_default()
}

/// The network's results for given inputs, as in inference: batch normalisation with its running
/// statistics, no dropout. `inputs` holds `batch` images `[h][w][c]`, normalised already; the result
/// is `[batch][elements]`, channels last (for a vector: its elements in order).
///
/// # Errors
/// If the weights do not fit the network, or the inputs' number is wrong.
pub fn forward(
    network: &Network,
    weights: &Weights,
    inputs: &[f32],
    batch: usize,
) -> Result<Vec<f32>, TrainError> {
    weights.check(network)?;
    let plan = Plan::new(network);
    if inputs.len() != batch * plan.input_len {
        let (n, wanted) = (inputs.len(), plan.input_len);
        return Err(TrainError::Misfit(format!("{batch} images of {wanted} elements are not {n}")));
    }
    let model = Model::new(Arc::new(plan), weights, &Device::flex());
    let mut results = Vec::new();
    let (step, size) = (EVALUATION_BATCH, model.plan.input_len.max(1));
    for part in inputs.chunks(step * size) {
        results.extend(apply(&model, part.to_vec(), part.len() / size));
    }
    Ok(results)
}
