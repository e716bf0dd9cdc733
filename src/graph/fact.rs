//! What is known of a value on a wire: its kind and its shape (without the batch dimension).

use std::fmt;

/// The spatial origin of a sequence of tokens, kept so that `fold` can undo `unfold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Patches {
    /// Height of the map that was unfolded.
    pub h: usize,
    /// Width of the map that was unfolded.
    pub w: usize,
    /// Side of the square patch, in pixels.
    pub patch: usize,
}

impl Patches {
    /// Rows and columns of patches. A map that the patch does not divide is padded with zeros at
    /// the bottom and the right: `ceil(h / patch)` by `ceil(w / patch)`.
    pub fn grid(&self) -> (usize, usize) {
        (self.h.div_ceil(self.patch), self.w.div_ceil(self.patch))
    }
}

/// Kind and shape of a value for one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    /// A feature map: `h` x `w` positions of `c` channels. Burn and ONNX hold it as `[batch, c, h,
    /// w]`, emitted code as `[h][w][c]`.
    Map {
        /// Channels.
        c: usize,
        /// Height.
        h: usize,
        /// Width.
        w: usize,
    },
    /// Sequences of tokens: `groups` independent sequences of `tokens` vectors of `dim`. Burn and
    /// ONNX hold them as `[batch, groups, tokens, dim]`, emitted code as `[groups][tokens][dim]`.
    Tokens {
        /// Independent sequences; after `unfold`, the pixels of a patch (MobileViT).
        groups: usize,
        /// Tokens of a sequence; after `unfold`, the patches.
        tokens: usize,
        /// Features of a token.
        dim: usize,
        /// Where the tokens came from, if they came from a map.
        from: Option<Patches>,
    },
    /// One vector of `n` features: `[batch, n]`.
    Vector {
        /// Features.
        n: usize,
    },
}

impl Fact {
    /// Elements for one image.
    pub fn elements(&self) -> usize {
        match *self {
            Fact::Map { c, h, w } => c * h * w,
            Fact::Tokens { groups, tokens, dim, .. } => groups * tokens * dim,
            Fact::Vector { n } => n,
        }
    }

    /// Size of the feature (innermost in emitted code) dimension: channels, token features, vector
    /// length. This is what `in.channels` is in the language.
    pub fn channels(&self) -> usize {
        match *self {
            Fact::Map { c, .. } => c,
            Fact::Tokens { dim, .. } => dim,
            Fact::Vector { n } => n,
        }
    }

    /// How often the feature dimension is repeated: positions, tokens, or 1.
    pub fn rows(&self) -> usize {
        match *self {
            Fact::Map { h, w, .. } => h * w,
            Fact::Tokens { groups, tokens, .. } => groups * tokens,
            Fact::Vector { .. } => 1,
        }
    }

    /// The same kind with another feature dimension.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Fact {
        match self {
            Fact::Map { h, w, .. } => Fact::Map { c: channels, h, w },
            Fact::Tokens { groups, tokens, from, .. } => Fact::Tokens { groups, tokens, dim: channels, from },
            Fact::Vector { .. } => Fact::Vector { n: channels },
        }
    }

    /// A word for messages: "feature map", "token sequence", "vector".
    pub fn kind(&self) -> &'static str {
        match self {
            Fact::Map { .. } => "feature map",
            Fact::Tokens { .. } => "token sequence",
            Fact::Vector { .. } => "vector",
        }
    }
}

impl fmt::Display for Fact {
    /// `24x14x14` for maps (channels first), `4[49x32]` for tokens, `[10]` for vectors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Map { c, h, w } => write!(f, "{c}x{h}x{w}"),
            Fact::Tokens { groups, tokens, dim, .. } => write!(f, "{groups}[{tokens}x{dim}]"),
            Fact::Vector { n } => write!(f, "[{n}]"),
        }
    }
}
