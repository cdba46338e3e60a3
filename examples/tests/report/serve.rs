//! `serve` as a crowd meets it: fifty at once, many of whom mean no good.

use crate::browser::Browser;
use crate::client::{Answer, Server};
use crate::{HAND, found, keep, reading};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A picture as a PNG.
fn png(width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 7) as u8, (y * 5) as u8, (x + y) as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Asks until there is room, and looks that every refusal for want of it says when to ask again.
fn until_taken(ask: impl Fn() -> Answer) -> (Answer, usize) {
    for refused in 0..400 {
        let answer = ask();
        if answer.status != 503 {
            return (answer, refused);
        }
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
        thread::sleep(Duration::from_millis(150));
    }
    panic!("never taken");
}

/// The page of an explanation that was taken.
fn page(server: &Server, taken: &Answer) -> String {
    let place = taken.header("location").unwrap().to_owned();
    let started = Instant::now();
    loop {
        let status: Value = serde_json::from_str(&server.get(&place).body).unwrap();
        match status["state"].as_str().unwrap() {
            "done" => return server.get(&format!("{place}/report")).body,
            "waiting" | "running" => thread::sleep(Duration::from_millis(50)),
            _ => panic!("{status}"),
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{status}");
    }
}

#[test]
fn an_uploaded_image_is_explained_on_the_page_of_the_report() {
    let server = Server::start(&[]);
    let form = server.get("/");
    assert_eq!(form.status, 200);
    assert!(form.body.contains("integrated-gradients") && form.header("content-security-policy").is_some());
    let asked =
        "/explain?method=saliency,grad-cam&target=star&contrast=2&name=%3Cb%3Ecat.png&model=bundled-vit";
    let taken = server.post(asked, "image/png", &png(80, 60));
    assert_eq!(taken.status, 202, "{taken:?}");
    let page = page(&server, &taken);
    assert!(page.contains("<h1>Why <em>star</em>, why <em>triangle</em>?</h1>"), "{}", &page[..3000]);
    assert!(page.contains("&lt;b&gt;cat") && !page.contains("<b>cat"), "a name became markup");
    assert!(
        page.contains("candlelight explain --model=bundled-vit --method=saliency,grad-cam --target=star")
    );
}

#[test]
fn the_form_leads_from_an_image_to_its_page() {
    let Some(program) = found() else { return };
    let (server, folder) = (Server::start(&[]), TempDir::new().unwrap());
    let image = folder.path().join("own photo.png");
    std::fs::write(&image, png(120, 90)).unwrap();
    let mut browser = Browser::open(&program, HAND, 900);
    browser.visit(&format!("http://{}/", server.address));
    reading::check(&mut browser);
    keep(&mut browser, "form-390.png");
    browser.choose("image", &image);
    let tick = "document.querySelectorAll('[name=method]').forEach((it) => { it.checked = it.value === 'saliency'; })";
    browser.eval(tick);
    browser.eval("document.getElementById('go').click()");
    browser.wait_for("location.pathname.endsWith('/report') && document.readyState === 'complete'");
    assert_eq!(browser.eval("document.querySelectorAll('.stage').length"), 1);
    assert!(
        browser
            .eval("document.querySelector('.about').textContent")
            .as_str()
            .unwrap()
            .contains("own photo.png")
    );
    reading::check(&mut browser);
    let requests = browser.told("Network.requestWillBeSent");
    let own = |it: &&Value| {
        let url = it["request"]["url"].as_str().unwrap();
        url.starts_with(&format!("http://{}/", server.address))
            || url.starts_with("data:")
            || url.starts_with("blob:")
    };
    assert_eq!(requests.iter().filter(own).count(), requests.len(), "{requests:?}");
}

#[test]
fn the_form_says_what_is_wrong_with_an_image() {
    let Some(program) = found() else { return };
    let (server, folder) = (Server::start(&[]), TempDir::new().unwrap());
    let image = folder.path().join("words.png");
    std::fs::write(&image, "no picture at all").unwrap();
    let mut browser = Browser::open(&program, HAND, 900);
    browser.visit(&format!("http://{}/", server.address));
    browser.choose("image", &image);
    browser.eval("document.getElementById('go').click()");
    browser.wait_for("document.getElementById('problem').textContent.includes('not an image')");
    assert_eq!(browser.eval("document.getElementById('go').disabled"), false);
}

#[test]
fn what_is_not_there_is_refused_with_the_next_step() {
    let server = Server::start(&[]);
    let image = png(64, 64);
    for (asked, named) in [
        ("/explain?model=nobody", "nobody"),
        ("/explain?method=gradcam", "gradcam"),
        ("/explain?target=strar", "strar"),
        ("/explain?contrast=99", "99"),
        ("/explain?method=saliency&seed=x", "seed"),
    ] {
        let answer = server.post(asked, "image/png", &image);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(named), "{answer:?}");
    }
    assert_eq!(server.get("/jobs/0123").status, 404);
    assert_eq!(server.get("/etc/passwd").status, 404);
    assert_eq!(server.get("/explain").status, 405);
}

#[test]
fn strangers_are_refused_by_name_and_by_origin() {
    let server = Server::start(&["--host", "lab.example"]);
    let status = |headers: &str| server.send(&format!("GET / HTTP/1.1\r\n{headers}\r\n"), &[]).status;
    assert_eq!(status(&format!("Host: {}\r\n", server.address)), 200);
    assert_eq!(status("Host: lab.example\r\n"), 200);
    assert_eq!(status("Host: evil.example\r\n"), 403);
    assert_eq!(status(&format!("Host: {0}\r\nOrigin: http://{0}\r\n", server.address)), 200);
    assert_eq!(status(&format!("Host: {}\r\nOrigin: http://evil.example\r\n", server.address)), 403);
}

#[test]
fn what_runs_can_be_cancelled_and_what_takes_too_long_is_shown_in_part() {
    let server = Server::start(&["--seconds", "1"]);
    let slow = "/explain?method=saliency,all";
    let first = server.post(slow, "image/png", &png(64, 64));
    let second = server.post(slow, "image/png", &png(64, 64));
    let place = second.header("location").unwrap().to_owned();
    assert_eq!(server.get(&format!("{place}/report")).status, 409);
    assert_eq!(
        server.send(&format!("DELETE {place} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address), &[]).status,
        204
    );
    assert!(server.get(&place).body.contains("cancelled"));
    let page = page(&server, &first);
    assert!(page.contains("<b>Stopped.</b>"), "the page does not say that it was stopped");
}

/// What one of a crowd sends, and what it should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Guest {
    Good,
    Slow,
    Oversized,
    ManyPixels,
    Broken,
    NoImage,
    NoType,
}

const CROWD: [(Guest, u16); 7] = [
    (Guest::Good, 202),
    (Guest::Slow, 408),
    (Guest::Oversized, 413),
    (Guest::ManyPixels, 413),
    (Guest::Broken, 422),
    (Guest::NoImage, 415),
    (Guest::NoType, 415),
];

impl Guest {
    fn ask(self, server: &Server) -> Answer {
        let image = png(96, 64);
        let asked = "/explain?method=saliency";
        match self {
            Self::Good => server.post(asked, "image/png", &image),
            Self::Slow => server.trickle(asked, &image),
            Self::Oversized => server.chunked(asked, &vec![7; 3 << 20]),
            Self::ManyPixels => server.post(asked, "image/png", &png(2000, 1000)),
            Self::Broken => server.post(asked, "image/png", &image[..image.len() / 2]),
            Self::NoImage => server.post(asked, "image/png", b"GIF? no: words, and more words"),
            Self::NoType => server.post(asked, "text/html", b"<script>"),
        }
    }
}

#[test]
fn fifty_at_once_are_answered_rightly_in_bounded_memory() {
    let limits = ["--megabytes", "2", "--megapixels", "1", "--upload-seconds", "2", "--queue", "4"];
    let server = Server::start(&limits);
    let before = server.peak_memory();
    let crowd: Vec<_> = (0..50).map(|guest| CROWD[guest % CROWD.len()]).collect();
    let told: Vec<_> = thread::scope(|scope| {
        let guests: Vec<_> = crowd
            .iter()
            .map(|&(guest, right)| {
                let server = &server;
                scope.spawn(move || (guest, right, until_taken(|| guest.ask(server))))
            })
            .collect();
        guests.into_iter().map(|guest| guest.join().unwrap()).collect()
    });
    let mut counts = BTreeMap::new();
    for (guest, right, (answer, refused)) in &told {
        assert_eq!(answer.status, *right, "{guest:?}: {answer:?}");
        let (answered, busy) = counts.entry((*guest, *right)).or_insert((0, 0));
        *answered += 1;
        *busy += refused;
    }
    for ((guest, status), (answered, busy)) in counts {
        println!("{guest:?}: {answered} answered {status}, {busy} times asked to come again");
    }
    for (_, _, (answer, _)) in told.iter().filter(|(guest, ..)| *guest == Guest::Good).take(2) {
        assert!(page(&server, answer).contains("<h1>Why"), "a page after the crowd");
    }
    if let (Some(before), Some(after)) = (before, server.peak_memory()) {
        println!("VmHWM: {before} MiB before, {after} MiB after");
        assert!(after < before + 200, "{before} MiB became {after} MiB");
    }
}

#[test]
fn a_head_that_never_ends_is_hung_up_on() {
    let server = Server::start(&[]);
    assert!(server.hangs_up_on("GET / HTTP/1.1\r\nHost: localhost\r\nX: ", Duration::from_secs(20)));
    assert_eq!(server.get("/").status, 200);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_in_peace() {
    let mut server = Server::start(&[]);
    server.post("/explain?method=smoothgrad", "image/png", &png(64, 64));
    assert_eq!(server.interrupt(), Some(0));
}
