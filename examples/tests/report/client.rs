//! A server of one's own, and a client that can be as rude as it likes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with the test.
pub struct Server {
    child: Child,
    pub address: String,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: String,
    pub body: String,
}

impl Answer {
    /// A header's value, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut headers = String::new();
        while !headers.ends_with("\r\n\r\n") && reader.read_line(&mut headers).unwrap() > 0 {}
        let status = headers.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {headers:?}"));
        let mut answer = Self { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.trim().parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }
}

impl Server {
    /// One on a port that is free.
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_candlelight"));
        command.args(["serve", "--bind", "127.0.0.1:0"]).args(args).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.split("http://").nth(1).and_then(|rest| rest.split(';').next());
        let address = address.unwrap_or_else(|| panic!("said {said:?}")).to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a head and a body as they are. A server may answer before it has all: what cannot be sent is not.
    pub fn send(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(head.as_bytes()).unwrap();
        drop(stream.write_all(body));
        Answer::read(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address), &[])
    }

    pub fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        self.send(&self.head(path, kind, &format!("Content-Length: {}", body.len())), body)
    }

    /// A body of a length that is not told.
    pub fn chunked(&self, path: &str, body: &[u8]) -> Answer {
        let body = [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat();
        self.send(&self.head(path, "image/png", "Transfer-Encoding: chunked"), &body)
    }

    /// A body that comes byte by byte, and never to its end.
    pub fn trickle(&self, path: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let head = self.head(path, "image/png", &format!("Content-Length: {}", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        let mut sender = stream.try_clone().unwrap();
        let start = body[..40.min(body.len())].to_vec();
        thread::spawn(move || {
            for byte in start {
                if sender.write_all(&[byte]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        Answer::read(stream)
    }

    fn head(&self, path: &str, kind: &str, length: &str) -> String {
        let host = &self.address;
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n{length}\r\n\r\n")
    }

    /// Whether it ends a connection on which nothing else is said.
    pub fn hangs_up_on(&self, start: &str, patience: Duration) -> bool {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).is_ok()
    }

    /// The most memory that it held so far, in MiB, where the system tells.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
    }

    /// Presses Ctrl-C, and gives the exit code.
    pub fn interrupt(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            thread::sleep(Duration::from_millis(50));
        }
        None
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
