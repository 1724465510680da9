//! The list of listening sockets: sock_diag and /proc/net/tcp give the same.

use std::net::{TcpListener, TcpStream};

use super::*;

#[test]
fn both_ways_show_the_same_sockets() {
    let v4 = TcpListener::bind("127.0.0.2:0").unwrap();
    let v6 = TcpListener::bind("[::1]:0").ok();
    let connected = TcpStream::connect(v4.local_addr().unwrap()).unwrap();
    for (family, wanted) in [(Family::V4, Some(&v4)), (Family::V6, v6.as_ref())] {
        let Some(wanted) = wanted.map(|listener| listener.local_addr().unwrap()) else { continue };
        let at = |found: Vec<Listener>| found.into_iter().find(|listener| listener.address == wanted);
        let from_diag = at(sock_diag(family, &mut [0; 16 << 10]).expect("the kernel has sock_diag"))
            .expect("sock_diag shows it");
        assert_eq!(Some(from_diag), at(proc_net_tcp(family)));
        let addresses: Vec<_> = listening().iter().map(|listener| listener.address).collect();
        assert!(addresses.contains(&wanted), "{wanted} is not among {addresses:?}");
        assert!(!addresses.contains(&connected.local_addr().unwrap()), "a connection is not a listener");
    }
}

#[test]
fn an_answer_that_is_cut_is_not_read_past_its_end() {
    let whole: Vec<u8> = [20_u32.to_ne_bytes(), [20, 0, 2, 0], [0; 4], [0; 4], [7; 4]].concat();
    let (kind, body, rest) = message(&whole).unwrap();
    assert_eq!((kind, body, rest), (SOCK_DIAG_BY_FAMILY, &[7; 4][..], &[][..]));
    for length in 0..whole.len() {
        assert!(message(&whole[..length]).is_none(), "{length} bytes of {}", whole.len());
    }
    let too_short = [vec![15, 0, 0, 0], vec![0; 20]].concat();
    assert!(message(&too_short).is_none(), "a message shorter than its header");
    for length in 0..72 {
        assert!(socket_of(&vec![1; length], Family::V6).is_none(), "{length} bytes are not a socket");
    }
    let huge = [u32::MAX.to_ne_bytes().to_vec(), vec![0; 20]].concat();
    assert!(message(&huge).is_none(), "a length beyond the datagram");
}

#[test]
fn the_kernels_table_is_read() {
    let line =
        "   0: 0100007F:0BB8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
    let found = listener(line).unwrap();
    assert_eq!((found.address.to_string().as_str(), found.inode), ("127.0.0.1:3000", 4711));
    let waiting = line.replace("00000000:00000000 00", "00000000:0000000A 00");
    assert_eq!((found.unaccepted, listener(&waiting).unwrap().unaccepted), (0, 10));
    let connected = line.replace(" 0A ", " 01 ");
    assert_eq!(listener(&connected), None);
    assert_eq!(listener("garbage"), None);
}

#[test]
fn addresses_of_both_families_are_kept_apart() {
    for (hex, address) in [
        ("00000000", "0.0.0.0"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "::ffff:127.0.0.1"),
        ("0000000000000000FFFF000000000000", "::ffff:0.0.0.0"),
    ] {
        assert_eq!(ip_address(hex).unwrap().to_string(), address);
    }
}
