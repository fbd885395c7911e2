use std::process::Command;

use test_support::SoftHsm;

use crate::world::{World, both, old, told};

fn with_token<'a>(command: &'a mut Command, hsm: &SoftHsm) -> &'a mut Command {
    let (name, value) = hsm.variable();
    command
        .env(name, value)
        .env("AUTH_MANAGER__VAULT__PKCS11_MODULE", hsm.module())
        .env("AUTH_MANAGER__VAULT__PKCS11_TOKEN", SoftHsm::TOKEN)
        .env("AUTH_MANAGER__VAULT__PKCS11_PIN", SoftHsm::PIN)
        .env("AUTH_MANAGER__VAULT__PKCS11_KEY", SoftHsm::KEY)
}

#[tokio::test]
async fn a_key_that_only_the_token_unwraps_is_made_and_taken_into_use() {
    let (world, hsm) = (World::new().await, SoftHsm::create());
    world.put("alice", "s-1").await;
    let mut command = world.command(&old(), &["new-key", "--id", "hsm"]);
    let (done, key) = told(&with_token(&mut command, &hsm).output().unwrap());
    assert!(done && key.starts_with("hsm:pkcs11:") && key.lines().count() == 1, "{key}");

    let ring = format!("{},{}", key.trim(), old());
    let arguments = ["rewrap", "--service", "auth-manager"];
    let mut command = world.command(&ring, &arguments);
    let (done, said) = told(&with_token(&mut command, &hsm).output().unwrap());
    assert!(done && said.contains("moved 2 to `hsm`"), "{said}");
    let mut command = world.command(key.trim(), &["verify", "--service", "auth-manager"]);
    let (done, said) = told(&with_token(&mut command, &hsm).output().unwrap());
    assert!(done && said.contains("2 rows opened, 0 damaged"), "{said}");

    let (done, said) = world.vault(key.trim(), &["verify", "--service", "auth-manager"]);
    assert!(!done && said.contains("is wrapped, and no PKCS#11 token is configured"), "{said}");
    let mut command = world.command(&both(), &["new-key"]);
    let bad = with_token(&mut command, &hsm).env("AUTH_MANAGER__VAULT__PKCS11_PIN", "9753");
    let (done, said) = told(&bad.output().unwrap());
    assert!(
        !done && said.contains("the token refuses the PIN") && !said.contains("9753"),
        "{said}"
    );
    let (done, said) = world.vault(&both(), &["new-key"]);
    assert!(!done && said.contains("set AUTH_MANAGER__VAULT__PKCS11_MODULE"), "{said}");
}
