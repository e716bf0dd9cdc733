//! What a linked image holds: the sizes of its sections and symbols.

/// A little-endian ELF file of 32 or 64 bits.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    file: &'a [u8],
    wide: bool,
}

/// A section header: its type, flags, place in the file, size, and the section it is linked with.
struct Section {
    kind: usize,
    flags: usize,
    offset: usize,
    size: usize,
    link: usize,
}

// System V ABI, "Sections".
const PROGBITS: usize = 1;
const SYMTAB: usize = 2;
const ALLOC: usize = 2;
/// The type of a symbol that is data.
const OBJECT: usize = 1;

impl<'a> Elf<'a> {
    /// The file; `None` for what is none.
    pub(super) fn of(file: &'a [u8]) -> Option<Elf<'a>> {
        match file.get(..6)? {
            [0x7f, b'E', b'L', b'F', class @ (1 | 2), 1] => Some(Elf { file, wide: *class == 2 }),
            _ => None,
        }
    }

    /// An unsigned number of so many bytes; 0 beyond the end.
    fn number(&self, at: usize, bytes: usize) -> usize {
        let found = self.file.get(at..).and_then(|rest| rest.get(..bytes)).unwrap_or_default();
        found.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b))
    }

    /// A field of a header, whose place and size depend on the class.
    fn field(&self, header: usize, [narrow, wide]: [(usize, usize); 2]) -> usize {
        let (at, bytes) = if self.wide { wide } else { narrow };
        self.number(header + at, bytes)
    }

    fn sections(&self) -> Vec<Section> {
        let offset = self.field(0, [(32, 4), (40, 8)]);
        let each = self.field(0, [(46, 2), (58, 2)]);
        let count = self.field(0, [(48, 2), (60, 2)]);
        let section = |i: usize| {
            let at = offset + i * each;
            Section {
                kind: self.number(at + 4, 4),
                flags: self.field(at, [(8, 4), (8, 8)]),
                offset: self.field(at, [(16, 4), (24, 8)]),
                size: self.field(at, [(20, 4), (32, 8)]),
                link: self.field(at, [(24, 4), (40, 4)]),
            }
        };
        (0..count).map(section).collect()
    }

    /// Bytes of the loaded sections with contents: code and constants.
    pub(super) fn loaded_bytes(&self) -> usize {
        let sections = self.sections().into_iter();
        sections.filter(|s| s.kind == PROGBITS && s.flags & ALLOC != 0).map(|s| s.size).sum()
    }

    /// Bytes of the data symbols whose names `wanted` takes. Two names of one place count once: the linker
    /// has joined equal constants.
    pub(super) fn object_bytes(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let sections = self.sections();
        let mut places = std::collections::BTreeMap::new();
        for table in sections.iter().filter(|s| s.kind == SYMTAB) {
            let names = sections.get(table.link).map_or(0, |s| s.offset);
            let each = if self.wide { 24 } else { 16 };
            for at in (0..table.size / each).map(|i| table.offset + i * each) {
                let name = self.file.get(names + self.number(at, 4)..).unwrap_or_default();
                let name = name.split(|&b| b == 0).next().unwrap_or_default();
                let info = self.field(at, [(12, 1), (4, 1)]);
                if info & 15 == OBJECT && std::str::from_utf8(name).is_ok_and(&wanted) {
                    let address = self.field(at, [(4, 4), (8, 8)]);
                    let size = self.field(at, [(8, 4), (16, 8)]);
                    let known: &mut usize = places.entry(address).or_default();
                    *known = size.max(*known);
                }
            }
        }
        places.values().sum()
    }
}
