//! Files over https on 127.0.0.1, each of which can go wrong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::certificates::Certificates;

/// How a path is answered.
#[derive(Clone)]
pub enum File {
    Whole(Vec<u8>),
    /// 200, and a page in HTML.
    Page,
    Status(u16),
    Moved(String),
    /// So many bytes of what was promised, and the end.
    EndsAfter(usize, Vec<u8>),
    /// So many bytes, and then nothing.
    StallsAfter(usize, Vec<u8>),
}

type Files = Arc<Mutex<HashMap<String, File>>>;

pub struct FileServer {
    pub url: String,
    files: Files,
}

impl FileServer {
    pub fn https(certificates: &Certificates) -> FileServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (files, tls) = (Files::default(), certificates.server());
        let shared = Arc::clone(&files);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (files, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                // A client that gives up is what some tests are about.
                std::thread::spawn(move || serve(&files, tls, socket));
            }
        });
        FileServer { url, files }
    }

    pub fn put(&self, path: &str, file: File) {
        self.files.lock().unwrap().insert(path.to_owned(), file);
    }
}

fn serve(files: &Files, tls: Arc<rustls::ServerConfig>, socket: TcpStream) -> Option<()> {
    let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(tls).ok()?, socket);
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.next()?.ok()?;
    while !lines.next()?.ok()?.is_empty() {}
    drop(lines);
    let path = first.split(' ').nth(1)?.to_owned();
    let file = files.lock().unwrap().get(&path).cloned();
    let (status, extra, length, body) = match &file {
        None => (404, String::new(), 0, &[][..]),
        Some(File::Status(status)) => (*status, String::new(), 0, &[][..]),
        Some(File::Moved(to)) => (302, format!("Location: {to}\r\n"), 0, &[][..]),
        Some(File::Page) => {
            let body = b"<html>back soon</html>";
            (200, "Content-Type: text/html; charset=utf-8\r\n".to_owned(), body.len(), &body[..])
        }
        Some(File::Whole(bytes)) => (200, String::new(), bytes.len(), &bytes[..]),
        Some(File::EndsAfter(count, bytes) | File::StallsAfter(count, bytes)) => {
            (200, String::new(), bytes.len(), &bytes[..*count])
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{extra}Content-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    stream.flush().ok()?;
    if matches!(file, Some(File::StallsAfter(..))) {
        std::thread::sleep(Duration::from_secs(120));
    }
    stream.conn.send_close_notify();
    let _ = stream.flush();
    Some(())
}
