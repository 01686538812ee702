use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A service with these steps.
fn service(steps: &str) -> Service {
    let text = format!("parameters = {{ port = 80, keys = 2500 }}\n[native]\nprogram = 'x'\n{steps}");
    let description = protocol::description::parse("x", &text).unwrap();
    let values = description.values(&BTreeMap::new()).unwrap();
    let described = Described::new(description, values, None, 0).unwrap();
    Service::described("web".parse().unwrap(), described)
}

async fn seed(steps: &str, endpoint: Option<SocketAddr>) -> Result<(), String> {
    let logs = tempfile::tempdir().unwrap();
    let host = Host {
        runner: "lab".parse().unwrap(),
        address: "127.0.0.1".parse().unwrap(),
        workload: "/nowhere".into(),
        state: "/nowhere".into(),
    };
    let service = service(steps);
    let seeding = Seeding {
        host: &host,
        attempt: AttemptId::fresh(),
        service: &service,
        endpoint,
        logs: logs.path(),
    };
    seeding.run().await
}

/// A listener that reads from every connection until a text ends it, answers, and hands over what it read.
async fn listener(
    end: &'static str,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sent_tx, sent_rx) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = Vec::new();
            while !read.ends_with(end.as_bytes()) && stream.read_buf(&mut read).await.unwrap() > 0 {}
            let text = String::from_utf8(read).unwrap();
            stream.write_all(answer(&text).as_bytes()).await.unwrap();
            let _ = sent_tx.send(text);
        }
    });
    (address, sent_rx)
}

#[tokio::test]
async fn requests_are_sent_in_order_as_often_as_they_say() {
    let created = |_: &str| "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (address, mut sent) = listener("}", created).await;
    let steps = "[[seed]]\nkind = 'http'\nmethod = 'POST'\npath = '/users/{index}'\nbody = '{\"port\": {port}}'\nstatus = 201\ntimes = 2\n";
    seed(steps, Some(address)).await.unwrap();
    for index in 0..2 {
        let request = sent.recv().await.unwrap();
        assert!(
            request.starts_with(&format!("POST /users/{index} HTTP/1.1\r\n")),
            "{request}"
        );
        assert!(
            request.ends_with(&format!("\r\n\r\n{{\"port\": {}}}", address.port())),
            "{request}"
        );
    }
    let error = seed(&steps.replace("status = 201", "status = 200"), Some(address))
        .await
        .unwrap_err();
    assert_eq!(
        error,
        "step 1 of seeding service web: POST /users/0 was answered with status 201, expected 200"
    );
    assert!(seed(steps, None).await.unwrap_err().contains("does not listen"));
}

#[tokio::test]
async fn a_key_space_is_written_and_an_error_is_named() {
    let listening = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listening.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listening.accept().await.unwrap();
        let mut all = Vec::new();
        let command = "*3\r\n$3\r\nSET\r\n$7\r\nk:".len() + "000000000000\r\n$4\r\nAAAA\r\n".len() + 1;
        let (mut answered, mut piece) = (0, vec![0; 1 << 16]);
        while answered < 2500 {
            let length = stream.read(&mut piece).await.unwrap();
            all.extend_from_slice(&piece[..length]);
            let complete = all.len() / command;
            stream
                .write_all("+OK\r\n".repeat(complete - answered).as_bytes())
                .await
                .unwrap();
            answered = complete;
        }
        String::from_utf8(all).unwrap()
    });
    let steps = "[[seed]]\nkind = 'redis'\nkeys = '{keys}'\nvalue_bytes = 4\nprefix = 'k:'\n";
    seed(steps, Some(address)).await.unwrap();
    let all = server.await.unwrap();
    assert!(
        all.ends_with("$14\r\nk:000000002499\r\n$4\r\nAAAA\r\n"),
        "{}",
        &all[all.len() - 60..]
    );
    let (full, _) = listener("AAAA\r\n", |_: &str| "-OOM command not allowed\r\n".to_owned()).await;
    let error = seed(&steps.replace("'{keys}'", "'1'"), Some(full)).await.unwrap_err();
    assert!(
        error.contains("SET was answered \"-OOM command not allowed\""),
        "{error}"
    );
    let error = seed(&steps.replace("'{keys}'", "'many'"), Some(full))
        .await
        .unwrap_err();
    assert!(error.contains("\"many\" is not a number"), "{error}");
}

#[tokio::test]
async fn a_program_of_this_host_must_succeed() {
    let command = |args: &str| format!("[[seed]]\nkind = 'command'\nprogram = 'sh'\nargs = ['-c', '{args}']\n");
    seed(&command("test {port} = 80"), None).await.unwrap();
    let error = seed(&command("echo no space left; exit 3"), None).await.unwrap_err();
    assert!(error.contains("exit status: 3: no space left"), "{error}");
}
