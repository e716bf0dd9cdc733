//! Reading a profile's text.

use super::Profile;
use std::fmt;

/// Why a text is no profile: where, and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ProfileError {
    /// The name of the text, usually a path.
    pub file: String,
    /// One-based line; 1 where the reader does not know.
    pub line: usize,
    /// One-based column.
    pub column: usize,
    /// Byte offset of that place in the text.
    pub offset: usize,
    /// What is wrong, with the path of the key: ``int8.conv: missing field `cycles` ``.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl Profile {
    /// Reads a profile; `file` names the text in errors.
    ///
    /// # Errors
    /// The first thing that is wrong: text that is not YAML, an unknown, missing or doubled key, a
    /// value of another type, a negative number, a figure without a source.
    pub fn parse(text: &str, file: &str) -> Result<Profile, ProfileError> {
        serde_yaml::from_str(text).map_err(|e| {
            let (line, column, offset) =
                e.location().map_or((1, 1, 0), |l| (l.line(), l.column(), l.index()));
            let full = e.to_string();
            let message = match full.rsplit_once(" at line ") {
                Some((message, _)) => message.to_string(),
                None => full,
            };
            ProfileError { file: file.to_string(), line, column, offset, message }
        })
    }
}
