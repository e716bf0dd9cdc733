//! A network as a drawing.

use super::layout::{layout, Plan, STUB};
use super::{params, thousands, Kind};
use crate::graph::{Fact, Network, NodeId, Op};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

const MARGIN: f64 = 28.0;
const HEADER: f64 = 82.0;
/// Mean width of a letter, as a part of the font size; rather too much than too little.
const LETTER: f64 = 0.6;
const LINE: f64 = 16.0;
const TITLE: f64 = 12.5;
const SMALL: f64 = 10.5;

/// One box: an operator, and the norm and activation that follow it and nothing else reads.
struct Tile {
    kind: Kind,
    title: String,
    /// What follows the operator, as `batch_norm, silu`.
    then: Vec<String>,
    name: String,
    params: usize,
    /// What its edges carry.
    fact: Fact,
    /// Boxes it reads, in the order of its ports.
    inputs: Vec<usize>,
}

impl Tile {
    fn lines(&self) -> Vec<(String, f64, &'static str)> {
        let mut lines = vec![(self.title.replace("->", "\u{2192}"), TITLE, "t")];
        if !self.then.is_empty() {
            lines.push((format!("+ {}", self.then.join(", ")), 11.5, "a"));
        }
        let mut about = self.name.clone();
        if self.params > 0 {
            let dot = if about.is_empty() { "" } else { " \u{b7} " };
            about += &format!("{dot}{} params", thousands(self.params));
        }
        if !about.is_empty() {
            lines.push((about, SMALL, "n"));
        }
        lines
    }

    fn size(&self) -> (f64, f64) {
        let lines = self.lines();
        let widest = lines.iter().map(|l| width(&l.0, l.1)).fold(0.0, f64::max);
        ((widest + 24.0).max(96.0), lines.len() as f64 * LINE + 12.0)
    }
}

fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

/// The network as an SVG file: boxes from top to bottom, shapes beside the edges, colours by kind of
/// operator. A norm, activation or dropout that alone reads what it follows is written into its box.
pub fn svg(network: &Network) -> String {
    let tiles = tiles(network);
    let mut edges = Vec::new();
    for (to, tile) in tiles.iter().enumerate() {
        edges.extend(tile.inputs.iter().map(|&from| (from, to)));
    }
    let plan = Plan { sizes: tiles.iter().map(Tile::size).collect(), edges };
    let placed = layout(&plan);

    let kinds: BTreeSet<Kind> = tiles.iter().map(|t| t.kind).collect();
    let total = tiles.iter().map(|t| t.params).fold(0, usize::saturating_add);
    let title = format!("{} \u{2192} {}", network.input_fact(), network.output_fact());
    let subtitle = format!(
        "{} operators, {} parameters before folding batch norms",
        network.nodes().filter(|n| n.node.op != Op::Input).count(),
        thousands(total)
    );
    let (legend, legend_width, legend_height) = legend(&kinds, placed.width.max(520.0));
    let inner = placed.width.max(legend_width).max(width(&subtitle, 12.0));
    let top = HEADER + legend_height;
    // Room on the right for the words beside the last column's edges.
    let (w, h) = (inner + 2.0 * MARGIN + 30.0, top + placed.height + 2.0 * MARGIN);
    let shift = (MARGIN + (inner - placed.width) / 2.0, top + MARGIN / 2.0);

    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w:.0}\" height=\"{h:.0}\" \
         viewBox=\"0 0 {w:.0} {h:.0}\" role=\"img\" \
         font-family=\"Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif\">"
    );
    let _ = writeln!(out, "<title>{}</title>", escape(&format!("Network {title}")));
    out += "<style>text{fill:#1d2733}.t{font-size:12.5px;font-weight:600}.a{font-size:11.5px}\
            .n{font-size:10.5px;fill:#5a6675}.s{font-size:11px;fill:#33404f;paint-order:stroke;\
            stroke:#fff;stroke-width:4px;stroke-linejoin:round}\
            .e{fill:none;stroke:#7b8794;stroke-width:1.4}</style>\n";
    out += "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
            markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0.8 L7.5 4 L0 7.2 Z\" fill=\"#7b8794\"/></marker></defs>\n";
    let _ = writeln!(out, "<rect width=\"{w:.0}\" height=\"{h:.0}\" fill=\"#ffffff\"/>");
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"36\" font-size=\"18\" font-weight=\"600\">{}</text>",
        escape(&title)
    );
    let _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"56\" font-size=\"12\">{}</text>", escape(&subtitle));
    out += &legend;
    let _ = writeln!(out, "<g transform=\"translate({:.1} {:.1})\">", shift.0, shift.1);
    out += &arrows(&tiles, &plan, &placed.boxes, &placed.passes);
    for ((tile, size), at) in tiles.iter().zip(&plan.sizes).zip(&placed.boxes) {
        out += &draw(tile, *size, *at);
    }
    out += "</g>\n</svg>\n";
    out
}

/// The boxes in the order of the nodes, and one for the output.
fn tiles(network: &Network) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    let mut of: HashMap<NodeId, usize> = HashMap::new();
    for view in network.nodes() {
        let op = &view.node.op;
        let own = params(&view);
        if let (Op::BatchNorm { .. } | Op::Activation(_) | Op::Dropout { .. }, [before]) =
            (op, view.inputs.as_slice())
        {
            let host = of.get(before).copied();
            let alone = network.consumers(*before).len() == 1;
            if let Some((i, tile)) = host
                .and_then(|i| Some((i, tiles.get_mut(i)?)))
                .filter(|(_, t)| alone && t.kind != Kind::Terminal)
            {
                tile.then.push(op.label());
                tile.params = tile.params.saturating_add(own);
                of.insert(view.id, i);
                continue;
            }
        }
        of.insert(view.id, tiles.len());
        tiles.push(Tile {
            kind: Kind::of(op),
            title: op.label(),
            then: Vec::new(),
            // A name that only repeats the operator says nothing.
            name: if view.node.name == op.name() { String::new() } else { view.node.name.clone() },
            params: own,
            fact: view.output,
            inputs: view.inputs.iter().filter_map(|id| of.get(id).copied()).collect(),
        });
    }
    tiles.push(Tile {
        kind: Kind::Terminal,
        title: "output".into(),
        then: Vec::new(),
        name: String::new(),
        params: 0,
        fact: network.output_fact(),
        inputs: of.get(&network.output()).copied().into_iter().collect(),
    });
    tiles
}

/// Squares and words in rows of at most `limit`; the text, its width and height.
fn legend(kinds: &BTreeSet<Kind>, limit: f64) -> (String, f64, f64) {
    let (mut out, mut x, mut y, mut widest) = (String::new(), 0.0, 0.0, 0.0f64);
    for kind in kinds {
        let step = 18.0 + width(kind.name(), 11.0) + 14.0;
        if x > 0.0 && x + step > limit {
            (x, y) = (0.0, y + 20.0);
        }
        let (fill, line) = kind.colors();
        let (left, top) = (MARGIN + x, HEADER + y);
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"3\" fill=\"{fill}\" \
             stroke=\"{line}\"/><text x=\"{:.1}\" y=\"{top:.1}\" font-size=\"11\">{}</text>",
            top - 10.0,
            left + 18.0,
            kind.name()
        );
        x += step;
        widest = widest.max(x);
    }
    (out, widest, y + 20.0)
}

fn draw(tile: &Tile, (w, h): (f64, f64), (x, y): (f64, f64)) -> String {
    let (fill, line) = tile.kind.colors();
    let round = if tile.kind == Kind::Terminal { h / 2.0 } else { 6.0 };
    let mut out = format!(
        "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"{round:.1}\" \
         fill=\"{fill}\" stroke=\"{line}\" stroke-width=\"1.2\"/>\n",
        x - w / 2.0
    );
    for (i, (text, size, class)) in tile.lines().into_iter().enumerate() {
        let base = y + 6.0 + LINE * (i as f64 + 0.5) + size * 0.36;
        let _ = writeln!(
            out,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{}</text>",
            escape(&text)
        );
    }
    out
}

/// Edges as smooth curves, each box's shape beside the start of its edges.
fn arrows(tiles: &[Tile], plan: &Plan, boxes: &[(f64, f64)], passes: &[Vec<(f64, f64, f64)>]) -> String {
    let (starts, ends) = ports(plan, boxes, passes);
    let mut out = String::new();
    let mut rightmost: HashMap<usize, f64> = HashMap::new();
    for (i, &(from, to)) in plan.edges.iter().enumerate() {
        let (Some(a), Some(b), Some(size), Some(via)) =
            (boxes.get(from), boxes.get(to), plan.sizes.get(from), passes.get(i))
        else {
            continue;
        };
        let x = a.0 + starts.get(i).unwrap_or(&0.0);
        let mut at = (x, a.1 + size.1);
        let mut path = format!("M{:.1} {:.1}", at.0, at.1);
        if plan.edges.iter().filter(|e| e.0 == from).count() > 1 {
            at.1 += STUB;
            let _ = write!(path, " L{:.1} {:.1}", at.0, at.1);
        }
        let mut bend = |to: (f64, f64), path: &mut String| {
            let middle = (at.1 + to.1) / 2.0;
            let _ = write!(path, " C{:.1} {middle:.1} {:.1} {middle:.1} {:.1} {:.1}", at.0, to.0, to.0, to.1);
            at = to;
        };
        for &(x, top, bottom) in via {
            bend((x, top), &mut path);
            bend((x, bottom), &mut path);
        }
        bend((b.0 + ends.get(i).unwrap_or(&0.0), b.1 - 1.0), &mut path);
        let _ = writeln!(out, "<path class=\"e\" d=\"{path}\" marker-end=\"url(#arrow)\"/>");
        let right = rightmost.entry(from).or_insert(x);
        *right = right.max(x);
    }
    for (i, ((tile, at), size)) in tiles.iter().zip(boxes).zip(&plan.sizes).enumerate() {
        if let Some(right) = rightmost.get(&i) {
            let _ = writeln!(
                out,
                "<text class=\"s\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                right + 7.0,
                at.1 + size.1 + 15.0,
                escape(&tile.fact.to_string())
            );
        }
    }
    out
}

/// How far from the middle of its boxes every edge starts and ends: in the order of the other ends,
/// so that edges of a box do not cross.
fn ports(plan: &Plan, boxes: &[(f64, f64)], passes: &[Vec<(f64, f64, f64)>]) -> (Vec<f64>, Vec<f64>) {
    let mut starts = vec![0.0; plan.edges.len()];
    let mut ends = vec![0.0; plan.edges.len()];
    for (b, size) in plan.sizes.iter().enumerate() {
        let center = |i: usize| boxes.get(i).map_or(0.0, |b| b.0);
        let pass = |i: usize| passes.get(i).map_or(&[][..], Vec::as_slice);
        let mut out: Vec<(f64, usize)> = Vec::new();
        let mut into: Vec<(f64, usize)> = Vec::new();
        for (i, &(from, to)) in plan.edges.iter().enumerate() {
            if from == b {
                out.push((pass(i).first().map_or(center(to), |p| p.0), i));
            }
            if to == b {
                into.push((pass(i).last().map_or(center(from), |p| p.0), i));
            }
        }
        for (list, offsets) in [(&mut out, &mut starts), (&mut into, &mut ends)] {
            list.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let step = (size.0 * 0.7 / list.len().max(1) as f64).min(16.0);
            let middle = (list.len() as f64 - 1.0) / 2.0;
            for (k, &(_, edge)) in list.iter().enumerate() {
                if let Some(offset) = offsets.get_mut(edge) {
                    *offset = (k as f64 - middle) * step;
                }
            }
        }
    }
    (starts, ends)
}

/// Text in XML: no markup, no characters that XML forbids.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
