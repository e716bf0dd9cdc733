//! Drawings of random networks: complete, inside the picture, and without a panic.

#[path = "common/net.rs"]
mod net;
#[path = "common/random_net.rs"]
mod random_net;

use hytc::graph::draw::{dot, svg, text};

#[test]
fn random_networks_can_be_drawn() {
    for seed in 0..100 {
        let network = random_net::random_net(seed);
        let nodes = network.nodes().count();
        let wires: usize = network.nodes().map(|n| n.inputs.len()).sum();
        assert_eq!(text(&network).lines().count(), nodes + 3, "a head, a rule, a total");
        assert_eq!(
            dot(&network).lines().filter(|l| l.contains(" -> ") && l.contains("[label=")).count(),
            wires + 1 + labelled(&network)
        );
        let drawing = svg(&network);
        if let Some(directory) = std::env::var_os("HYTC_DRAWINGS") {
            std::fs::write(std::path::Path::new(&directory).join(format!("random_{seed:03}.svg")), &drawing)
                .unwrap();
        }
        assert_eq!(drawing.matches("<rect ").count() - legend(&drawing), tiles(&network) + 1, "{seed}");
        assert!(!drawing.contains("NaN") && !drawing.contains("inf\""), "{seed}");
    }
}

/// Nodes whose own label holds an arrow.
fn labelled(network: &hytc::graph::Network) -> usize {
    network.nodes().filter(|n| n.node.op.label().contains("->")).count()
}

/// Squares of the legend.
fn legend(drawing: &str) -> usize {
    drawing.matches("width=\"12\" height=\"12\"").count()
}

/// Boxes: all nodes but those written into the box before them, and the output.
fn tiles(network: &hytc::graph::Network) -> usize {
    use hytc::graph::Op;
    let inside = network.nodes().filter(|n| {
        let follows = matches!(n.node.op, Op::BatchNorm { .. } | Op::Activation(_) | Op::Dropout { .. });
        follows
            && n.inputs.first().is_some_and(|&i| {
                network.consumers(i).len() == 1 && network.node(i).is_some_and(|v| v.node.op != Op::Input)
            })
    });
    network.nodes().count() + 1 - inside.count()
}
