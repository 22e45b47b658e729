//! Every command in every state of the project's container, without a terminal: the engine calls, the messages on
//! stderr, the data on stdout, the exit code. On docker and on podman.

use super::machine::{Machine, stories};

#[test]
fn start() {
    stories(
        r"
        none: cage start
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        dead: cage start
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; rm --force --volumes ID ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        removing, settles gone: cage start
          > LOOK ; LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        none, local image: cage start
          > LOOK ; SAFE ; ASK-USER ; create --name NAME lab ; run lab PREPARE ; start NAME ; ALIVE
          cage: Creating NAME
          | NAME

        none, offline: cage start
          > LOOK ; SAFE ; pull --quiet IMAGE ; image inspect IMAGE ; LOOK ; ASK-USER ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          (the engine's words)
          cage: warning: could not pull the image; using the one that is here
          cage: Creating NAME
          | NAME

        none, offline, image missing: cage start
          > LOOK ; SAFE ; pull --quiet IMAGE ; image inspect IMAGE
          cage: Pulling IMAGE
          (the engine's words)
          error: could not pull: `docker pull --quiet IMAGE`: exit status 1
          hint: check the image's name and the network
          = 1

        none, seed: cage start
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME IMAGE ; run --mount type=bind,source=ROOT/home/.config/cage/home,target=/cage-seed,readonly IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          cage: Creating NAME
          cage: Seeding home directory from ROOT/home/.config/cage/home
          | NAME

        none: cage start -p 3000:3000
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME --publish 127.0.0.1:3000:3000 IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        stopped or created: cage start
          > LOOK ; OTHERS ; start ID
          cage: Restarting NAME
          | NAME

        stopped, published: cage start --detach -p 3000:3000
          > LOOK ; OTHERS ; start ID
          cage: Restarting NAME
          | NAME

        stopped, newer image: cage start
          > LOOK ; OTHERS ; start ID
          cage: A newer image is available. Run `cage upgrade` to upgrade.
          cage: Restarting NAME
          | NAME

        paused: cage start
          > LOOK ; unpause ID
          cage: Unpausing NAME
          | NAME

        running: cage start
          > LOOK
          | NAME

        restarting, settles running: cage start
          > LOOK ; LOOK
          | NAME

        running: cage start -p 3000:3000 -v /etc:/x
          > LOOK
          cage: NAME exists without `-p 3000:3000`; `cage restart -p 3000:3000` applies it
          cage: NAME exists without `-v /etc:/x`; `cage restart -v /etc:/x` applies it
          | NAME

        running, newer image: cage start
          > LOOK
          cage: A newer image is available. Run `cage upgrade` to upgrade.
          | NAME

        running, newer image, local image: cage start
          > LOOK
          cage: A newer image is available. Run `cage restart` to use it.
          | NAME

        running, other image: cage start
          > LOOK ; image inspect ghcr.io/other/image:2
          | NAME

        running, other image: cage start --image ghcr.io/third/image
          > inspect NAME NAME.new ghcr.io/third/image
          cage: NAME exists without `--image ghcr.io/third/image`; `cage restart --image ghcr.io/third/image` applies it
          | NAME
        ",
    );
}

#[test]
fn run() {
    stories(
        r"
        none: cage run -- make 'a b'
          > container inspect NAME NAME.new ; ABOVE ; LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE ; exec NAME in DIR make a b
          cage: Pulling IMAGE
          cage: Creating NAME

        dead: cage run make
          > container inspect NAME NAME.new ; LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; rm --force --volumes ID ; create --name NAME IMAGE ; run IMAGE PREPARE ; start NAME ; ALIVE ; exec NAME in DIR make
          cage: Pulling IMAGE
          cage: Creating NAME

        stopped or created or stopped, newer image: cage run make
          > container inspect NAME NAME.new ; OTHERS ; start ID ; exec ID in DIR make
          cage: Restarting NAME

        paused: cage run make
          > container inspect NAME NAME.new ; unpause ID ; exec ID in DIR make
          cage: Unpausing NAME

        running: cage run -- make -j2 --help
          > container inspect NAME NAME.new ; exec ID in DIR make -j2 --help

        restarting, settles running: cage run make
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; exec ID in DIR make
        ",
    );
}

#[test]
fn stop() {
    stories(
        r"
        none: cage stop
          > container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          = 1

        removing, settles gone: cage stop
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          = 1

        none: cage stop NAME
          > container inspect NAME
          error: No cage named NAME
          hint: `cage list` shows all cages
          = 1

        stopped or created or dead: cage stop
          > container inspect NAME NAME.new
          cage: NAME is already stopped

        running: cage stop
          > container inspect NAME NAME.new ; stop -t 5 ID
          cage: Stopping NAME

        paused: cage stop NAME
          > container inspect NAME ; unpause ID ; stop -t 5 ID
          cage: Stopping NAME

        restarting, settles running: cage stop
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; stop -t 5 ID
          cage: Stopping NAME
        ",
    );
}

#[test]
fn rm() {
    stories(
        r"
        none: cage rm
          > container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          = 1

        removing, settles gone: cage rm
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          = 1

        stopped or created or dead: cage rm
          > container inspect NAME NAME.new ; rm --force --volumes ID
          cage: Removing NAME

        running: cage rm
          > container inspect NAME NAME.new ; stop -t 5 ID ; rm --force --volumes ID
          cage: Stopping and removing NAME

        paused: cage rm NAME
          > container inspect NAME ; unpause ID ; stop -t 5 ID ; rm --force --volumes ID
          cage: Stopping and removing NAME

        restarting, settles running: cage rm
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; stop -t 5 ID ; rm --force --volumes ID
          cage: Stopping and removing NAME
        ",
    );
}

#[test]
fn restart() {
    stories(
        r"
        none: cage restart
          > LOOK ; ABOVE
          error: No container for DIR. Use 'cage start' to create one.
          = 1

        removing, settles gone: cage restart
          > LOOK ; LOOK ; ABOVE
          error: No container for DIR. Use 'cage start' to create one.
          = 1

        stopped or created or dead: cage restart
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        stopped, newer image: cage restart
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        running: cage restart
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        paused: cage restart
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; unpause ID ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        restarting, settles running: cage restart --detach
          > LOOK ; LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Creating NAME
          | NAME

        running, offline, image missing: cage restart
          > LOOK ; SAFE ; pull --quiet IMAGE ; image inspect IMAGE
          cage: Pulling IMAGE
          (the engine's words)
          error: could not pull: `docker pull --quiet IMAGE`: exit status 1
          hint: check the image's name and the network
          = 1

        stopped, local image: cage restart
          > LOOK ; SAFE ; ASK-USER ; create --name NAME.new lab ; run lab PREPARE ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Creating NAME
          | NAME
        ",
    );
}

#[test]
fn shell() {
    stories(
        r"
        none: cage shell
          > container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          hint: `cage start` creates one
          = 1

        stopped or created or dead: cage shell
          > container inspect NAME NAME.new
          error: Container NAME is not running
          hint: `cage start` brings it up
          = 1

        removing, settles gone: cage shell
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; ABOVE
          error: No container for DIR
          hint: `cage start` creates one
          = 1

        running: cage shell
          > container inspect NAME NAME.new ; exec ID in DIR SHELL
          cage: Opening shell in NAME

        paused: cage shell NAME
          > container inspect NAME ; unpause ID ; exec ID in DIR SHELL
          cage: Unpausing NAME
          cage: Opening shell in NAME

        restarting, settles running: cage shell
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; exec ID in DIR SHELL
          cage: Opening shell in NAME
        ",
    );
}

#[test]
fn status() {
    stories(
        r"
        none: cage status
          > container inspect NAME NAME.new ; ABOVE
          | Container: NAME
          | State:     none

        removing, settles gone: cage status
          > container inspect NAME NAME.new ; container inspect NAME NAME.new ; ABOVE
          | Container: NAME
          | State:     none

        created: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     created
          | Ports:     (none)

        stopped: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     stopped
          | Ports:     (none)

        stopped, published: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     stopped
          | Ports:
          |   3000/tcp -> 127.0.0.1:3000

        running: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     running
          | Ports:     (none)

        running, published: cage status NAME
          > container inspect NAME
          | Container: NAME
          | State:     running
          | Ports:
          |   3000/tcp -> 127.0.0.1:3000

        paused: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     paused
          | Ports:     (none)

        dead: cage status
          > container inspect NAME NAME.new
          | Container: NAME
          | State:     dead
          | Ports:     (none)

        restarting, settles running: cage status
          > container inspect NAME NAME.new ; container inspect NAME NAME.new
          | Container: NAME
          | State:     running
          | Ports:     (none)
        ",
    );
}

#[test]
fn update() {
    stories(
        r"
        none or stopped or running or none, image missing: cage update
          > image inspect IMAGE ; pull --quiet IMAGE
          cage: Pulling IMAGE

        none, offline: cage update
          > image inspect IMAGE ; pull --quiet IMAGE
          cage: Pulling IMAGE
          (the engine's words)
          error: could not pull: `docker pull --quiet IMAGE`: exit status 1
          hint: check the image's name and the network
          = 1

        none, local image or running, local image: cage update
          error: Cannot update local image 'lab'. Pull or build it manually.
          hint: `cage restart` creates the cage again from the local image
          = 1
        ",
    );
}

#[test]
fn upgrade() {
    stories(
        r"
        none: cage upgrade
          > LOOK ; pull --quiet IMAGE ; ABOVE
          cage: Pulling IMAGE
          cage: No existing container. Use 'cage start' to create one.

        removing, settles gone: cage upgrade
          > LOOK ; LOOK ; pull --quiet IMAGE ; ABOVE
          cage: Pulling IMAGE
          cage: No existing container. Use 'cage start' to create one.

        stopped or created or dead or running or paused: cage upgrade
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK
          cage: Pulling IMAGE
          cage: Container is already on the latest image.

        stopped, newer image or created, newer image or dead, newer image: cage upgrade
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Removing old container NAME
          cage: Creating NAME
          | NAME

        running, newer image: cage upgrade
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Removing old container NAME
          cage: Creating NAME
          | NAME

        paused, newer image: cage upgrade
          > LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; unpause ID ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Removing old container NAME
          cage: Creating NAME
          | NAME

        restarting, settles running, newer image: cage upgrade
          > LOOK ; LOOK ; SAFE ; pull --quiet IMAGE ; LOOK ; ASK-USER ; create --name NAME.new IMAGE ; run IMAGE PREPARE ; stop -t 5 ID ; start NAME.new ; ALIVE ; rm --force --volumes ID ; rename NAME.new NAME
          cage: Pulling IMAGE
          cage: Removing old container NAME
          cage: Creating NAME
          | NAME

        running, offline: cage upgrade
          > LOOK ; SAFE ; pull --quiet IMAGE
          cage: Pulling IMAGE
          (the engine's words)
          error: could not pull: `docker pull --quiet IMAGE`: exit status 1
          hint: check the image's name and the network
          = 1

        running, local image: cage upgrade
          error: Cannot update local image 'lab'. Pull or build it manually.
          hint: `cage restart` creates the cage again from the local image
          = 1
        ",
    );
}

#[test]
fn rmconfig() {
    stories(
        r"
        none: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; HOME cage-home ; volume rm cage-home
          cage: Removing shared home volume cage-home

        none, no home: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; HOME cage-home
          cage: No shared home volume to remove

        stopped or created or dead: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; run --mount type=volume,source=cage-home,target=/cage-home IMAGE_ID RESET
          cage: Emptying shared home volume cage-home

        running: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; stop -t 5 ID ; run --mount type=volume,source=cage-home,target=/cage-home IMAGE_ID RESET
          cage: Stopping running cage containers
          cage: Emptying shared home volume cage-home

        paused: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; unpause ID ; stop -t 5 ID ; run --mount type=volume,source=cage-home,target=/cage-home IMAGE_ID RESET
          cage: Stopping running cage containers
          cage: Emptying shared home volume cage-home

        running, no home: cage rmconfig --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; stop -t 5 ID
          cage: Stopping running cage containers
          cage: No shared home volume to remove
        ",
    );
}

#[test]
fn obliterate() {
    stories(
        r"
        none: cage obliterate --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; HOME cage-home ; HOMES ; image inspect IMAGE ; volume rm cage-home
          cage: No cage containers to remove
          cage: Removing shared home volume cage-home
          cage: still on this machine:
          cage:   the image IMAGE_ID
          cage:   ROOT/home/.config/cage; `rm -r ROOT/home/.config/cage` removes it

        none, no home: cage obliterate --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; HOME cage-home ; HOMES ; image inspect IMAGE
          cage: No cage containers to remove
          cage: No shared home volume to remove
          cage: still on this machine:
          cage:   the image IMAGE_ID
          cage:   ROOT/home/.config/cage; `rm -r ROOT/home/.config/cage` removes it

        stopped or created or dead or running or paused or restarting: cage obliterate --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; HOMES ; image inspect IMAGE_ID IMAGE ; rm --force --volumes ID ; volume rm cage-home
          cage: Removing all cage containers
          cage: Removing shared home volume cage-home
          cage: still on this machine:
          cage:   the image IMAGE_ID
          cage:   ROOT/home/.config/cage; `rm -r ROOT/home/.config/cage` removes it

        stopped, no home: cage obliterate --yes
          > ps --all --filter label=cage.project --format {{.ID}} ; container inspect ID ; HOME cage-home ; HOMES ; image inspect IMAGE_ID IMAGE ; rm --force --volumes ID
          cage: Removing all cage containers
          cage: No shared home volume to remove
          cage: still on this machine:
          cage:   the image IMAGE_ID
          cage:   ROOT/home/.config/cage; `rm -r ROOT/home/.config/cage` removes it
        ",
    );
}

#[test]
fn list() {
    stories(
        "
        none: cage list
          > ps --all --filter label=cage.project --format {{.ID}}
          cage: no cages yet: run `cage start` in a project

        none: cage list --quiet
          > ps --all --filter label=cage.project --format {{.ID}}
        ",
    );
}

#[test]
fn help_is_on_stdout_and_needs_no_engine() {
    let machine = Machine::new();
    for args in ["", "help", "-h", "--help"] {
        let outcome = machine.cage(args);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{args}");
        assert!(outcome.stdout.contains("Usage: cage [OPTIONS] [COMMAND]"), "{args}: {}", outcome.stdout);
        assert!(outcome.stdout.contains("\n  obliterate "), "{args}: {}", outcome.stdout);
    }
    assert!(machine.cage("help start").stdout.contains("Usage: cage start"));
}

#[test]
fn the_version_is_on_stdout_and_needs_no_engine() {
    let machine = Machine::new();
    for args in ["version", "-V", "--version"] {
        let outcome = machine.cage(args);
        let expected = concat!("cage ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(
            (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
            (0, expected, ""),
            "{args}"
        );
    }
}
