//! Bytes that want to do harm, to gbrl-edge and to the interpreter in C.

use gbrl_core::export::{Quantize, binary, host, loadable};
use gbrl_core::rng::Stream;
use gbrl_edge::{Error, Policy, Work, crc32};

use crate::cases::{self, SMALL};

/// Decides on a few observations, whatever the policy says.
fn use_it(bytes: &[u8]) -> Result<(), Error> {
    let policy = Policy::new(bytes)?;
    let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
    let mut work = Work { codes: &mut codes, sums: &mut sums };
    for x in [0.0, f32::NAN, f32::INFINITY, -3.0] {
        let obs = vec![x; policy.n_features()];
        let (mut whole, mut real) = (vec![0; policy.action_len()], vec![0.0; policy.action_len()]);
        if policy.is_box() {
            policy.act_box(&obs, &mut work, &mut real)?;
        } else {
            policy.act(&obs, &[], &mut work, &mut whole)?;
        }
        policy.logits(&obs, &mut work, &mut vec![0.0; policy.n_logits()])?;
    }
    Ok(())
}

fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 4;
    let sum = crc32(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn examples() -> Vec<Vec<u8>> {
    let form = |seed| {
        let quantize = [Quantize::None, Quantize::Int16, Quantize::Int8][seed as usize % 3];
        binary::to_bytes(&cases::flat(&cases::policy(seed, SMALL), quantize, seed % 2 == 0))
    };
    (0..24).map(form).collect()
}

#[test]
fn every_flipped_bit_is_refused() {
    for bytes in examples().into_iter().filter(|bytes| bytes.len() < 3000).take(6) {
        assert_eq!(use_it(&bytes), Ok(()));
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[i] ^= 1 << bit;
                assert!(Policy::new(&altered).is_err(), "byte {i}, bit {bit}");
            }
        }
    }
}

#[test]
fn every_length_is_refused() {
    for bytes in examples().into_iter().take(4) {
        for n in 0..bytes.len() {
            assert!(Policy::new(&bytes[..n]).is_err());
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(Policy::new(&longer).is_err());
    }
}

/// The checksum keeps accidents out, not attackers: with a right one every byte may be anything, and nothing breaks.
#[test]
fn resealed_bytes_are_refused_or_harmless() {
    let (mut refused, mut accepted) = (0, 0);
    for altered in attacks() {
        match use_it(&altered) {
            Ok(()) => accepted += 1,
            Err(Error::Checksum) => panic!("resealed"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1000 && accepted > 1000, "{refused} refused, {accepted} accepted");
}

/// Altered policies with a right checksum: bytes set to what is extreme, and random ones.
fn attacks() -> Vec<Vec<u8>> {
    let mut stream = Stream::new(9, "attack", 0);
    let mut attacks = Vec::new();
    for bytes in examples() {
        let body = bytes.len() as u64 - 4;
        for i in (8..72.min(body as usize)).chain((0..150).map(|_| stream.below(body) as usize)) {
            for value in [0, 1, 0x7F, 0x80, 0xFF, bytes[i].wrapping_add(1)] {
                let mut altered = bytes.clone();
                altered[i] = value;
                attacks.push(resealed(altered));
            }
        }
        for _ in 0..50 {
            let mut altered = bytes.clone();
            for _ in 0..=stream.below(6) {
                altered[8 + stream.below(body - 8) as usize] = stream.below(256) as u8;
            }
            attacks.push(resealed(altered));
        }
    }
    attacks
}

/// The same in C, under the sanitizers, where gcc has them: both interpreters refuse and accept the same bytes.
#[test]
fn the_interpreter_in_c_does_as_gbrl_edge_does() {
    let compiler = host::Compiler::find().expect("this test needs a C compiler: install gcc or clang");
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    write("gbrl_edge.h", loadable::HEADER.as_bytes());
    write("gbrl_edge.c", loadable::source().as_bytes());
    write("attacks.c", include_bytes!("attacks.c"));
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"];
    let compile = |flags: &[&str]| {
        let mut command = compiler.clone().with(flags).compile();
        command.current_dir(folder.path()).args(["attacks.c", "gbrl_edge.c", "-o", "attacks"]);
        command.output().unwrap()
    };
    let with_sanitizers = compile(&sanitizers).status.success();
    if !with_sanitizers {
        let output = compile(&[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let attacks = attacks();
    let (mut file, mut expected) = (Vec::new(), Vec::new());
    for attack in &attacks {
        file.extend((attack.len() as u32).to_ne_bytes());
        file.extend(attack);
        expected.push(u8::from(use_it(attack).is_err()));
    }
    write("attacks.bin", &file);
    let run = std::process::Command::new(folder.path().join("attacks"))
        .current_dir(folder.path())
        .env("ASAN_OPTIONS", "detect_leaks=0")
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(run.stdout.len(), expected.len());
    if let Some(i) = (0..expected.len()).find(|&i| run.stdout[i] != expected[i]) {
        panic!("attack {i}: gbrl-edge says {:?}, C {}", use_it(&attacks[i]), run.stdout[i]);
    }
}
