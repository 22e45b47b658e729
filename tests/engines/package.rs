//! The archive of a release, installed by `install.sh` on bare systems.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};

use super::lab::World;
use crate::common::releases::serve;

tests_of!(the_archive_installs_and_works_on_bare_systems, false, docker Docker);

fn the_archive_installs_and_works_on_bare_systems(world: &World) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(repository.join("scripts/package")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let archive = repository.join(String::from_utf8(output.stdout).unwrap().trim());
    let name = archive.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(&archive).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let sums = format!("{}  {name}\n", hex::encode(Sha256::digest(&bytes)));
    let url = serve(
        BTreeMap::from([
            ("/latest/download/SHA256SUMS".to_owned(), sums.into_bytes()),
            (format!("/download/v{version}/{name}"), bytes),
        ]),
        false,
    );

    // Both systems use this machine's docker, whose client needs the C library.
    let project = world.project.display();
    let script = repository.join("install.sh").display().to_string();
    let mut mounts = vec![format!("{script}:/install.sh:ro"), format!("{project}:{project}")];
    // Debian's image has no program to download with.
    mounts.push("/bin/busybox:/usr/local/bin/wget:ro".to_owned());
    mounts.extend(
        ["/run/docker.sock:/var/run/docker.sock", "/usr/bin/docker:/usr/bin/docker:ro"].map(str::to_owned),
    );
    for (image, libraries) in
        [("cage-lab-base", &[][..]), ("cage-lab-busybox", &["/lib64", "/lib/x86_64-linux-gnu"])]
    {
        if libraries.iter().any(|library| !Path::new(library).exists()) {
            continue;
        }
        let mut docker = world.command("docker");
        docker.args([
            "run",
            "--rm",
            "--network",
            "host",
            "--user",
            "0",
            "--entrypoint",
            "/bin/sh",
            "-e",
            "HOME=/root",
        ]);
        for mount in
            mounts.iter().cloned().chain(libraries.iter().map(|library| format!("{library}:{library}:ro")))
        {
            docker.args(["-v", &mount]);
        }
        for variable in ["CAGE_IMAGE", "CAGE_LABEL", "CAGE_HOME_VOLUME"] {
            docker.args(["-e", variable]);
        }
        let script = format!(
            "set -e; sh /install.sh; cage=$HOME/.local/bin/cage; $cage version; cd {project}\n\
             $cage doctor || true; $cage start -d; $cage run -- sh -c 'echo inside >made'; $cage rm\n\
             sh /install.sh --uninstall; ! [ -e $cage ]"
        );
        docker.args(["-e", &format!("CAGE_RELEASES_URL={url}"), image, "-c", &script]);
        let output = docker.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{image}: {out}\n{err}");
        assert!(out.starts_with(&format!("cage {version}\n")), "{image}: {out}");
        assert_eq!(fs::read_to_string(world.project.join("made")).unwrap(), "inside\n", "{image}");
        fs::remove_file(world.project.join("made")).unwrap();
    }
}
