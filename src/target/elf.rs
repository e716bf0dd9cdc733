//! The size of a linked image.

/// Bytes of the loaded sections with contents (code and constants) of a 32-bit little-endian ELF
/// file; 0 for what is none.
pub(super) fn loaded_bytes(file: &[u8]) -> usize {
    let u16_at = |at: usize| file.get(at..at + 2).map_or(0, |b| usize::from(b[0]) | usize::from(b[1]) << 8);
    let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
    if file.get(..5) != Some(&[0x7f, b'E', b'L', b'F', 1]) {
        return 0;
    }
    // e_shoff, e_shentsize, e_shnum; sh_type, sh_flags, sh_size (System V ABI, "Sections").
    let (offset, each, count) = (u32_at(32), u16_at(46), u16_at(48));
    let sections = (0..count).map(|i| offset + i * each);
    let loaded = sections.filter(|&at| u32_at(at + 4) == 1 && u32_at(at + 8) & 2 != 0);
    loaded.map(|at| u32_at(at + 20)).sum()
}
