//! As many workers as run at a time.

use super::{Caller, Failure, Metrics, Program, Request, Worker};
use std::sync::{Arc, Mutex};

/// Processes of one program, one for each trial that runs at the same time. Processes are started when
/// they are first needed and kept until the pool is closed.
pub struct Pool {
    program: Arc<Program>,
    workers: Mutex<Workers>,
}

#[derive(Default)]
struct Workers {
    /// The last to be used is the first to be used again.
    idle: Vec<Worker>,
    /// Made so far; the next one's number.
    made: usize,
}

impl Pool {
    /// A pool without processes.
    pub fn new(program: Program) -> Pool {
        Pool { program: Arc::new(program), workers: Mutex::default() }
    }

    /// [`Worker::run`] on a worker that is free. Called by as many threads as trials are to run at a
    /// time.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn run(&self, request: &Request<'_>, caller: &dyn Caller) -> Result<Metrics, Failure> {
        let mut worker = self.take();
        let result = worker.run(request, caller);
        if let Ok(mut workers) = self.workers.lock() {
            workers.idle.push(worker);
        }
        result
    }

    fn take(&self) -> Worker {
        let Ok(mut workers) = self.workers.lock() else { return Worker::new(Arc::clone(&self.program), 0) };
        if let Some(worker) = workers.idle.pop() {
            return worker;
        }
        let number = workers.made;
        workers.made += 1;
        Worker::new(Arc::clone(&self.program), number)
    }

    /// Closes all processes at once: their input first, then a moment, then they are killed.
    pub fn close(self) {
        let workers = self.workers.into_inner().map(|w| w.idle).unwrap_or_default();
        std::thread::scope(|scope| {
            for worker in workers {
                scope.spawn(|| worker.close());
            }
        });
    }
}
