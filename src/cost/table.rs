//! The costs by layer, as text.

use super::Cost;

/// A table with a line for each layer, the totals, and what is predicted for each device.
pub fn table(cost: &Cost) -> String {
    let mut head: Vec<String> =
        ["layer", "kind", "output", "params", "MACs", "weights", "RAM live"].map(String::from).to_vec();
    head.extend(cost.devices.iter().map(|d| format!("{} ms", d.name)));
    let mut rows = vec![head];
    for l in &cost.layers {
        let kind = match &l.act {
            Some(act) => format!("{}+{act}", l.kind),
            None => l.kind.clone(),
        };
        let numbers = [l.params, l.macs, l.weight_bytes, l.ram_bytes].map(grouped);
        let mut row = vec![l.name.clone(), kind, l.output.clone()];
        row.extend(numbers);
        row.extend(cost.devices.iter().map(|d| milliseconds(l.latency_ms.get(&d.name).copied())));
        rows.push(row);
    }
    let mut total = vec!["total".to_string(), String::new(), String::new()];
    total.extend([cost.params, cost.macs, cost.weight_bytes, cost.ram_bytes].map(grouped));
    total.extend(cost.devices.iter().map(|d| milliseconds(Some(d.latency_s * 1e3))));
    rows.push(total);
    let mut out = align(&rows, 3);
    out.push_str(&format!(
        "\nRAM {} bytes (the arena, exact), flash {} bytes (weights exact, code estimated)\n",
        grouped(cost.ram_bytes),
        grouped(cost.flash_bytes)
    ));
    for d in &cost.devices {
        let energy = d.energy_j.map_or(String::new(), |j| format!(", {:.3} mJ", j * 1e3));
        let fits = match (d.fits_ram, d.fits_flash) {
            (true, true) => "fits",
            (false, true) => "does not fit its RAM",
            (true, false) => "does not fit its flash",
            (false, false) => "fits neither its RAM nor its flash",
        };
        out.push_str(&format!(
            "{}: {} ms{energy} predicted; {fits}\n",
            d.name,
            milliseconds(Some(d.latency_s * 1e3))
        ));
    }
    out
}

/// Columns of equal width, the first `left` of them flush left; a rule below the head and above
/// the last line.
fn align(rows: &[Vec<String>], left: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |row: &Vec<String>, c: usize| row.get(c).map_or(0, |s| s.chars().count());
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|r| length(r, c)).max().unwrap_or(0)).collect();
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * columns.saturating_sub(1));
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        if i == 1 || i + 1 == rows.len() {
            out.push_str(&rule);
            out.push('\n');
        }
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(c, (s, &w))| if c < left { format!("{s:<w$}") } else { format!("{s:>w$}") })
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// `7,489,664`
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(d);
    }
    out
}

fn milliseconds(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_string(),
        Some(ms) if ms >= 100.0 => format!("{ms:.0}"),
        Some(ms) if ms >= 1.0 => format!("{ms:.2}"),
        Some(ms) => format!("{ms:.4}"),
    }
}
