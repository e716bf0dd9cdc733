//! A running process: pipes that never block this side, bounded memory, a whole group killed.

use super::Program;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A longer line is no answer.
pub(super) const LONGEST_LINE: usize = 1 << 20;
/// Lines of standard error that are kept.
const LAST_LINES: usize = 8;
/// Characters kept of each.
const LAST_CHARACTERS: usize = 300;
/// How long a process may take to end after its input is closed.
const GRACE: Duration = Duration::from_secs(2);
/// How long the rest of standard error is waited for once a process has ended.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What comes out of standard output.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line beyond [`LONGEST_LINE`]; nothing more is read.
    TooLong,
    /// The end, with the bytes of an unfinished line.
    End(Vec<u8>),
}

/// A process with its three pipes, each served by a thread of its own.
pub(super) struct Process {
    child: Child,
    /// `None` once standard input is to be closed.
    input: Option<Sender<Vec<u8>>>,
    output: Receiver<Output>,
    said: Arc<Mutex<VecDeque<String>>>,
    /// Ends when standard error does.
    silent: Receiver<()>,
    /// How it ended, once it has been waited for.
    reaped: Option<ExitStatus>,
}

impl Process {
    /// Starts the program.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn start(program: &Program, worker: usize) -> Result<Process, String> {
        let name = program.argv.first().cloned().unwrap_or_default();
        let dir = if program.dir.as_os_str().is_empty() { ".".as_ref() } else { program.dir.as_path() };
        let failed = |e: std::io::Error| format!("`{name}` cannot be started in `{}`: {e}", dir.display());
        // Whether a relative program is looked for in the new working directory differs by system.
        let path = match name.contains('/') {
            true => std::path::absolute(dir.join(&name)).map_err(failed)?,
            false => name.clone().into(),
        };
        let mut command = Command::new(path);
        command.args(program.argv.iter().skip(1)).current_dir(dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("HYTC_WORKER", worker.to_string());
        // Python holds back what it prints to a pipe: an answer would never arrive.
        if std::env::var_os("PYTHONUNBUFFERED").is_none() {
            command.env("PYTHONUNBUFFERED", "1");
        }
        // A group of its own: what it starts is killed with it, and Ctrl-C is for hytc to handle.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(format!("`{name}` has no pipes"));
        };
        let (input, lines) = mpsc::channel();
        let (tell, output) = mpsc::channel();
        let (noise, silent) = mpsc::channel();
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let log = program
            .log
            .as_ref()
            .and_then(|path| std::fs::OpenOptions::new().create(true).append(true).open(path).ok());
        let keep = Arc::clone(&said);
        // None of these is ever waited for: a grandchild may hold a pipe open for as long as it likes.
        std::thread::spawn(move || write_lines(stdin, &lines));
        std::thread::spawn(move || read_lines(stdout, &tell));
        std::thread::spawn(move || {
            listen(stderr, log, &keep);
            drop(noise);
        });
        Ok(Process { child, input: Some(input), output, said, silent, reaped: None })
    }

    /// Writes a line, now or as soon as the process reads.
    pub(super) fn write(&self, line: Vec<u8>) {
        // A process that has ended is noticed by its output.
        let _ = self.input.as_ref().map(|i| i.send(line));
    }

    /// What comes next, if it comes within this time.
    pub(super) fn next(&self, wait: Duration) -> Option<Output> {
        match self.output.recv_timeout(wait) {
            Ok(output) => Some(output),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Output::End(Vec::new())),
        }
    }

    /// Whether it has ended by itself. Its number stays taken until [`Process::kill`].
    pub(super) fn ended(&mut self) -> bool {
        #[cfg(unix)]
        if let Some(id) = self.id() {
            use rustix::process::{waitid, WaitId, WaitIdOptions};
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            return !matches!(waitid(WaitId::Pid(id), look), Ok(None));
        }
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for it to end; whether it does within this time.
    pub(super) fn wait(&mut self, most: Duration) -> bool {
        let until = Instant::now() + most;
        let mut pause = Duration::from_millis(1);
        loop {
            let (ended, now) = (self.ended(), Instant::now());
            if ended || now >= until {
                return ended;
            }
            std::thread::sleep(pause.min(until - now));
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }

    #[cfg(unix)]
    fn id(&self) -> Option<rustix::process::Pid> {
        i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw)
    }

    /// Kills what is left of it and of its group. Returns how it ended.
    pub(super) fn kill(&mut self) -> Option<ExitStatus> {
        if self.reaped.is_none() {
            // First the group, then the waiting: until then no other process can get its number.
            #[cfg(unix)]
            if let Some(id) = self.id() {
                let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
            }
            let _ = self.child.kill();
            self.reaped = self.child.wait().ok();
        }
        self.reaped
    }

    /// Its last lines on standard error since [`Process::forget`]. Call after it was killed.
    pub(super) fn last_words(&self) -> Vec<String> {
        let _ = self.silent.recv_timeout(LAST_WORDS);
        self.said.lock().map_or_else(|_| Vec::new(), |s| s.iter().cloned().collect())
    }

    /// Forgets what it has said on standard error.
    pub(super) fn forget(&self) {
        if let Ok(mut said) = self.said.lock() {
            said.clear();
        }
    }

    /// Closes its input, gives it a moment, and kills what is left.
    pub(super) fn close(mut self) {
        self.input = None;
        self.wait(GRACE);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn write_lines(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    for line in lines {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read_lines(mut stdout: impl Read, tell: &Sender<Output>) {
    let mut line = Vec::new();
    let mut buffer = [0u8; 8192];
    loop {
        let n = match stdout.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        if n == 0 {
            let _ = tell.send(Output::End(line));
            return;
        }
        for part in buffer.get(..n).unwrap_or_default().split_inclusive(|b| *b == b'\n') {
            let (text, whole) = part.strip_suffix(b"\n").map_or((part, false), |t| (t, true));
            line.extend_from_slice(text);
            if line.len() > LONGEST_LINE {
                let _ = tell.send(Output::TooLong);
                return;
            }
            // Nobody listens any more: the process is being killed.
            if whole && tell.send(Output::Line(std::mem::take(&mut line))).is_err() {
                return;
            }
        }
    }
}

/// Keeps the last lines; a carriage return begins a line anew, as progress bars do.
fn listen(mut stderr: impl Read, mut log: Option<std::fs::File>, keep: &Mutex<VecDeque<String>>) {
    let mut buffer = [0u8; 8192];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let n = match stderr.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let read = buffer.get(..n).unwrap_or_default();
        if let Some(file) = &mut log {
            // A full disk must not stop the program.
            if file.write_all(read).is_err() {
                log = None;
            }
        }
        for &byte in read {
            match byte {
                b'\n' => remember(&std::mem::take(&mut line), keep),
                b'\r' => line.clear(),
                _ if line.len() < 4 * LAST_CHARACTERS => line.push(byte),
                _ => {}
            }
        }
        if n == 0 {
            remember(&line, keep);
            return;
        }
    }
}

fn remember(line: &[u8], keep: &Mutex<VecDeque<String>>) {
    let text = String::from_utf8_lossy(line);
    let clean: String = text.trim_end().chars().filter(|c| *c == '\t' || !c.is_control()).collect();
    let (false, Ok(mut kept)) = (clean.is_empty(), keep.lock()) else { return };
    if kept.len() >= LAST_LINES {
        kept.pop_front();
    }
    kept.push_back(super::answer::cut(&clean, LAST_CHARACTERS));
}
