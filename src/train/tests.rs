use super::*;
use crate::check::spec::{Augment, Optimizer, Training};
use crate::graph::{Act, Fact, Graph, Network, NodeId, Op, Window};
use crate::source::Span;
use std::sync::Mutex;

type Wire = (NodeId, Fact);

fn add(g: &mut Graph, op: Op, inputs: &[Wire]) -> Wire {
    g.add(op, op.name(), Span::default(), inputs).expect("fits")
}

fn conv(g: &mut Graph, x: Wire, out: usize, kernel: usize, stride: usize, groups: usize) -> Wire {
    let Fact::Map { h, w, .. } = x.1 else { panic!("a map") };
    let padding = Window::same(kernel, stride, 1, h, w);
    let window = Window { kernel, stride, dilation: 1, padding };
    let x = add(g, Op::Conv { out, window, groups, bias: false }, &[x]);
    let x = add(g, Op::BatchNorm { eps: 1e-3 }, &[x]);
    add(g, Op::Activation(Act::Silu), &[x])
}

/// A small network with every operator that has a gradient of its own.
fn everything(input: Fact, classes: usize) -> Network {
    let mut g = Graph::default();
    let x = (g.add_input(Span::default()), input);
    let x = conv(&mut g, x, 8, 3, 2, 1);
    let y = conv(&mut g, x, 8, 3, 1, 8);
    let y = conv(&mut g, y, 8, 3, 1, 2);
    let x = add(&mut g, Op::Add, &[x, y]);
    let s = add(&mut g, Op::GlobalAvgPool, &[x]);
    let s = add(&mut g, Op::Linear { out: 8, bias: true }, &[s]);
    let s = add(&mut g, Op::Activation(Act::Sigmoid), &[s]);
    let x = add(&mut g, Op::Mul, &[x, s]);
    let x = add(&mut g, Op::Add, &[x, s]);
    let window = Window { kernel: 2, stride: 2, dilation: 1, padding: Default::default() };
    let a = add(&mut g, Op::MaxPool(window), &[x]);
    let b = add(&mut g, Op::AvgPool(window), &[x]);
    let x = add(&mut g, Op::Concat, &[a, b, a]);
    let t = add(&mut g, Op::Unfold { patch: 2 }, &[x]);
    let n = add(&mut g, Op::LayerNorm { eps: 1e-5 }, &[t]);
    let n = add(&mut g, Op::Attention { heads: 2, head_dim: 4 }, &[n]);
    let t = add(&mut g, Op::Add, &[t, n]);
    let x = add(&mut g, Op::Fold, &[t]);
    let x = add(&mut g, Op::Dropout { p: 0.1 }, &[x]);
    let t = add(&mut g, Op::Unfold { patch: 1 }, &[x]);
    let u = add(&mut g, Op::Linear { out: 4, bias: false }, &[t]);
    let u = add(&mut g, Op::Softmax, &[u]);
    let v = add(&mut g, Op::Transpose, &[u]);
    let t = add(&mut g, Op::MatMul, &[v, t]);
    let x = add(&mut g, Op::Flatten, &[t]);
    let x = add(&mut g, Op::Linear { out: 16, bias: true }, &[x]);
    let x = add(&mut g, Op::BatchNorm { eps: 1e-3 }, &[x]);
    let x = add(&mut g, Op::Activation(Act::Gelu), &[x]);
    let x = add(&mut g, Op::Linear { out: classes, bias: true }, &[x]);
    g.set_output(x.0);
    g.validate(input).expect("a network")
}

/// Images whose class is the quarter in which a bright square lies.
fn squares(n: usize, classes: usize) -> TrainData {
    let (h, w) = (11, 12);
    let mut pixels = vec![0u8; n * h * w];
    let mut labels = Vec::new();
    for (i, image) in pixels.chunks_exact_mut(h * w).enumerate() {
        let class = i % classes;
        for (at, p) in image.iter_mut().enumerate() {
            let (y, x) = (at / w, at % w);
            let inside = (y / 6, x / 6) == (class / 2, class % 2);
            let noise = (i * 31 + at * 17 + i * at) % 90;
            *p = (noise + if inside { 120 } else { 0 }) as u8;
        }
        labels.push(class as u16);
    }
    let data = Dataset { h, w, c: 1, pixels, labels };
    let names: Vec<String> = (0..classes).map(|c| c.to_string()).collect();
    let (train, validation) = data::hold_out(&data.labels, &names, 0.25, 1).expect("splits");
    let augment = Augment { flip: false, crop: 1, brightness: 0.1, contrast: 0.1 };
    let pipeline = Pipeline { mean: vec![0.3], std: vec![0.25], augment };
    TrainData { images: Arc::new(data), train, validation, pipeline, classes }
}

fn config(epochs: usize) -> Training {
    Training {
        epochs,
        batch: 20,
        optimizer: Optimizer::AdamW,
        learning_rate: 5e-3,
        weight_decay: 1e-2,
        warmup: 0.1,
        label_smoothing: 0.05,
        patience: 0,
        subset: 1.0,
    }
}

const INPUT: Fact = Fact::Map { c: 1, h: 11, w: 12 };

#[test]
fn learns_and_reports() {
    #[derive(Default)]
    struct Seen(Mutex<Vec<Progress>>);
    impl Control for Seen {
        fn progress(&self, p: &Progress) {
            self.0.lock().expect("not poisoned").push(*p);
        }
    }
    let (network, data, seen) = (everything(INPUT, 4), squares(160, 4), Seen::default());
    for optimizer in [Optimizer::AdamW, Optimizer::Sgd { momentum: 0.9 }] {
        let config = Training { optimizer, learning_rate: 2e-2, ..config(16) };
        let trained = train(&network, &data, &config, 1, 1, &seen).expect("trains");
        assert!(trained.validation_accuracy.expect("held out") > 0.9, "{optimizer:?} {:?}", trained.history);
        let best = trained.history.iter().find(|e| e.epoch == trained.best_epoch).expect("an epoch");
        assert_eq!(best.validation_accuracy, trained.validation_accuracy);
        let evaluation =
            evaluate(&network, &trained.weights, &data.images, &data.pipeline, 2).expect("evaluates");
        assert!(evaluation.accuracy > 0.9);
        assert_eq!(evaluation.logits.len(), 160 * 4);
    }
    let seen = seen.0.into_inner().expect("not poisoned");
    // 120 images in batches of 20, a call after each and one after validation; two trainings.
    assert_eq!(seen.len(), 2 * 16 * 7);
    assert!(seen.iter().all(|p| p.steps == 6 && p.epochs == 16 && p.loss.is_finite()));
}

#[test]
fn equal_seeds_give_equal_weights_whatever_the_threads() {
    let (network, data, config) = (everything(INPUT, 4), squares(100, 4), config(2));
    let first = train(&network, &data, &config, 7, 1, &()).expect("trains");
    let other = train(&network, &data, &config, 8, 1, &()).expect("trains");
    assert_ne!(first.weights, other.weights);
    let on_two = train(&network, &data, &config, 7, 2, &()).expect("trains");
    assert_eq!(first.weights, on_two.weights);
    // Four at a time, with different numbers of threads.
    std::thread::scope(|s| {
        let run = |threads: usize| {
            let (network, data, config) = (&network, &data, &config);
            s.spawn(move || train(network, data, config, 7, threads, &()).expect("trains"))
        };
        for run in [1, 2, 3, 1].map(run) {
            let trained = run.join().expect("no panic");
            assert_eq!(trained.weights, first.weights);
            assert_eq!(trained.best_epoch, first.best_epoch);
        }
    });
}

#[test]
fn resumes_exactly() {
    #[derive(Default)]
    struct Keep(Mutex<Vec<Vec<u8>>>);
    impl Control for Keep {
        fn wants_checkpoints(&self) -> bool {
            true
        }
        fn checkpoint(&self, c: Checkpoint) {
            self.0.lock().expect("not poisoned").push(c.to_bytes().expect("bytes"));
        }
    }
    let (network, data) = (everything(INPUT, 4), squares(100, 4));
    for optimizer in [Optimizer::AdamW, Optimizer::Sgd { momentum: 0.9 }] {
        let (config, keep) = (Training { optimizer, ..config(4) }, Keep::default());
        let whole = train(&network, &data, &config, 3, 1, &keep).expect("trains");
        let kept = keep.0.into_inner().expect("not poisoned");
        assert_eq!(kept.len(), 3);
        for (i, bytes) in kept.iter().enumerate() {
            let checkpoint = Checkpoint::from_bytes(bytes).expect("a checkpoint");
            assert_eq!(checkpoint.epochs(), i + 1);
            let rest = resume(&network, &data, &config, 3, 1, &(), checkpoint.clone()).expect("resumes");
            assert_eq!(rest.weights, whole.weights);
            assert_eq!(rest.best_epoch, whole.best_epoch);
            assert_eq!(rest.history.len(), 4);
            let wrong = resume(&network, &data, &config, 4, 1, &(), checkpoint);
            assert!(matches!(wrong, Err(TrainError::Checkpoint(CheckpointError::Other))));
        }
        let cut = kept[0].get(..kept[0].len() - 1).expect("not empty");
        assert!(Checkpoint::from_bytes(cut).is_err());
        assert!(Checkpoint::from_bytes(b"something").is_err());
    }
}

#[test]
fn divergence_stopping_and_misfits_are_errors() {
    struct StopAt(Mutex<usize>);
    impl Control for StopAt {
        fn stop(&self) -> bool {
            let mut left = self.0.lock().expect("not poisoned");
            *left = left.saturating_sub(1);
            *left == 0
        }
    }
    let (network, data) = (everything(INPUT, 4), squares(60, 4));
    let wild = Training { learning_rate: 1e38, warmup: 0.0, ..config(3) };
    match train(&network, &data, &wild, 1, 1, &()) {
        Err(TrainError::Diverged { epoch: 1, step, why }) => {
            assert!(step > 1 && !why.is_empty(), "{step} {why}");
        }
        other => panic!("{other:?}"),
    }
    let stopped = train(&network, &data, &config(3), 1, 1, &StopAt(Mutex::new(2)));
    assert!(matches!(stopped, Err(TrainError::Stopped)), "{stopped:?}");
    let other = everything(INPUT, 3);
    assert!(matches!(train(&other, &data, &config(1), 1, 1, &()), Err(TrainError::Misfit(_))));
    let other = everything(Fact::Map { c: 1, h: 12, w: 12 }, 4);
    assert!(matches!(train(&other, &data, &config(1), 1, 1, &()), Err(TrainError::Misfit(_))));
    let weights = Weights::init(&everything(INPUT, 3), 1);
    assert!(matches!(forward(&network, &weights, &[], 0), Err(TrainError::Weights(_))));
}

#[test]
fn patience_ends_a_training() {
    let (network, data) = (everything(INPUT, 4), squares(60, 4));
    let config = Training { patience: 2, learning_rate: 1e-9, ..config(30) };
    let trained = train(&network, &data, &config, 1, 1, &()).expect("trains");
    assert!(trained.history.len() < 30);
    assert_eq!(trained.history.len(), trained.best_epoch + 2);
}

#[test]
fn schedule_rises_and_falls() {
    let config = Training { learning_rate: 1.0, warmup: 0.1, ..config(1) };
    let rates: Vec<f64> = (0..100).map(|s| learning_rate(&config, s, 100)).collect();
    assert_eq!(rates[0], 0.1);
    assert_eq!(rates[9], 1.0);
    assert_eq!(rates[10], 1.0);
    assert!((rates[55] - 0.5).abs() < 1e-9);
    assert!(rates[99] < 1e-3);
    assert!(rates.windows(2).skip(10).all(|w| w[1] < w[0]));
}

#[test]
fn weights_survive_the_module() {
    let network = everything(INPUT, 4);
    let weights = Weights::random(&network, 5);
    let plan = Arc::new(net::Plan::new(&network));
    let model = net::Model::new(plan, &weights, &net::training_device());
    assert_eq!(model.weights(), weights);
    assert_eq!(model.to_inference().weights(), weights);
}

#[test]
fn inference_does_not_depend_on_the_batch() {
    let network = everything(INPUT, 4);
    let weights = Weights::random(&network, 5);
    let inputs: Vec<f32> = (0..70 * 132).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let all = forward(&network, &weights, &inputs, 70).expect("runs");
    for i in [0, 33, 69] {
        let one = forward(&network, &weights, &inputs[i * 132..(i + 1) * 132], 1).expect("runs");
        assert_eq!(one, all[i * 4..(i + 1) * 4]);
    }
    assert!(forward(&network, &weights, &inputs, 69).is_err());
}

#[test]
fn running_statistics_start_as_means_and_then_follow() {
    let network = everything(INPUT, 4);
    let plan = Arc::new(net::Plan::new(&network));
    let mut model = net::Model::new(plan, &Weights::init(&network, 1), &net::training_device());
    let c = model.running[0].values.0.len();
    // Mean, inverse deviation, biased variance; 6 x 6 positions of 2 images.
    let batch = |mean: f32, variance: f32| {
        vec![(0, Arc::new([vec![mean; c], vec![0.0; c], vec![variance * 71.0 / 72.0; c]].concat()))]
    };
    model.update_running(2, 0, &batch(1.0, 4.0));
    let near = |x: f32, y: f32| (x - y).abs() < 1e-5;
    assert!(near(model.running[0].values.0[0], 1.0) && near(model.running[0].values.1[0], 4.0));
    model.update_running(2, 1, &batch(3.0, 8.0));
    assert!(near(model.running[0].values.0[0], 2.0) && near(model.running[0].values.1[0], 6.0));
    model.update_running(2, 1000, &batch(12.0, 16.0));
    assert!(near(model.running[0].values.0[c - 1], 3.0) && near(model.running[0].values.1[c - 1], 7.0));
}

mod quantised;
