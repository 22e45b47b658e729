//! A stand-in for the server of releases.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

/// Serves these files and returns the address. `truncated` archives lack their end.
pub fn serve(files: BTreeMap<String, Vec<u8>>, truncated: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
                header.clear();
            }
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, body) =
                files.get(path).map_or(("404 Not Found", &[][..]), |body| ("200 OK", body.as_slice()));
            let sent =
                if truncated && !path.ends_with("SHA256SUMS") { &body[..body.len() / 2] } else { body };
            // The client may give up.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(sent);
        }
    });
    url
}
