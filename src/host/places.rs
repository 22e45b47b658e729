//! Directories and files of a machine that a project must not contain, or that hold programs.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::base::{file, text};
use crate::host::machine::{Host, Os};

/// Names in a home of files that programs run or trust when they start, and of directories with such files.
const DOTFILES: &str = "\
    .bash_aliases .bash_login .bash_logout .bash_profile .bashrc .bashrc.d .config/fish .config/nushell .config/powershell .config/zsh \
    .config/bash .config/elvish .config/xonsh .local/share/fish \
    .cshrc .inputrc .kshrc .login .mkshrc .oh-my-zsh .profile .tcshrc .xonshrc .zlogin .zlogout .zprofile .zsh .zshenv .zshrc \
    .asdfrc .config/direnv .config/mise .config/starship.toml .tool-versions \
    .antidote .antigen .bash_completion.d .config/sheldon .fzf .local/share/bash-completion .local/share/zsh .zfunc .zgenom .zinit .zplug \
    .zprezto \
    .config/autostart .config/environment.d .config/hypr .config/i3 .config/sway .config/systemd .local/share/applications \
    .config/awesome .config/bspwm .config/dunst .config/eww .config/herbstluftwm .config/leftwm .config/niri .config/plasma-workspace \
    .config/polybar .config/qtile .config/river .config/rofi .config/sxhkd .config/xmonad .fluxbox .fvwm .local/share/gnome-shell \
    .local/share/kwin .local/share/nautilus .local/share/plasma .xmonad .config/aerospace .config/espanso .config/karabiner \
    .config/raycast .config/sketchybar .config/skhd .config/yabai Library/Scripts Library/Services \
    .config/labwc .config/openbox .config/waybar .hammerspoon .local/share/dbus-1 .local/share/systemd \
    .pam_environment .xinitrc .xprofile .xsession .xsessionrc Library/LaunchAgents \
    .cargo/config .cargo/config.toml .condarc .config/composer .config/pip .curlrc .gemrc .gradle/gradle.properties \
    .gradle/init.d .irbrc .m2/settings.xml .netrc .npmrc .pip .pypirc .pryrc .Renviron .Rprofile .sbt .wgetrc .yarnrc .yarnrc.yml \
    .config/guix .config/home-manager .config/nix .config/nixpkgs .config/pypoetry .config/uv \
    .goenv .jenv .local/share/fnm .local/share/pnpm .nodenv .npm-global .opam .phpenv .proto .tfenv \
    .asdf .dotnet/tools .local/lib .local/share/mise .local/share/uv .nvm .pyenv .rbenv .rustup \
    .rvm .sdkman .volta .clojure .ghci .ipython .jupyter .julia/config .lein .ocamlinit .sbclrc \
    .ansible/collections .ansible/plugins .ansible/roles .config/cni .config/helm .config/k9s .config/lazydocker .config/msmtp .config/mutt \
    .config/ncmpcpp .config/neomutt .config/newsboat .config/qutebrowser .local/share/helm .mutt .newsboat .subversion .vagrant.d \
    .config/gh .config/git .config/hg .config/jj .config/lazygit .config/tig .git-templates .gitconfig .hgrc .tigrc \
    .config/Code .config/Cursor .config/JetBrains .config/doom .config/emacs .config/lvim .doom.d .spacemacs.d .SpaceVim.d .config/helix .config/kak .config/micro .config/nvim \
    .config/sublime-text .config/zed .cursor .emacs .emacs.d .exrc .gvimrc .ideavimrc .nanorc .vim .vimrc .vscode .vscode-server \
    .config/VSCodium .config/Windsurf .config/Zed .cursor-server .local/share/nvim .local/share/zed .vscode-oss .windsurf .windsurf-server \
    .config/alacritty .config/foot .config/ghostty .config/kitty .config/tmux .config/wezterm .config/zellij .config/lf .config/mpv .config/ranger .config/yazi .screenrc .tmux.conf \
    .wezterm.lua .Xresources \
    .config/gdb .gdbinit .lesskey .lessfilter .lldbinit .my.cnf .pdbrc .psqlrc .sqliterc .terraformrc \
    .aider.conf.yml .claude .claude.json .codex .config/amp .config/crush .config/goose .config/opencode .continue .copilot .gemini .qwen \
    .agents .augment .cline .codeium .config/kilo .factory .grok .iflow .junie .kilocode .kimi .kiro .opencode .roo .trae";

/// More such names, with blanks in them.
const WITH_BLANKS: [&str; 6] = [
    "Library/Application Scripts",
    "Library/Application Support/Code",
    "Library/Application Support/Cursor",
    "Library/Application Support/JetBrains",
    "Library/Input Methods",
    "Library/Screen Savers",
];

/// Names in a home of directories with programs and libraries that shells, interpreters and desktops find by themselves. Links in
/// them lead to programs that are run knowingly, or into a store of packages.
const PROGRAMS: &str = "\
    bin sbin .local/bin .local/opt .nix-profile .local/state/nix homebrew linuxbrew .linuxbrew Applications snap \
    .local/share/flatpak .local/share/umake Library/Frameworks Library/PreferencePanes Library/QuickLook Library/Spotlight \
    anaconda anaconda2 anaconda3 miniconda miniconda2 miniconda3 mambaforge miniforge miniforge3 micromamba .conda .micromamba \
    .local/share/mamba .local/pipx .local/share/pipx .local/share/pyenv .poetry .rye Library/Python \
    node_modules .local/share/npm .local/share/bun .bun/bin .deno/bin .fnm .n .nodebrew .nodist .vfox .yarn/bin Library/pnpm \
    perl5 .perlbrew .plenv .raku .rakubrew Library/Perl .gem .local/share/gem .rubies .phpbrew .composer/vendor/bin Library/Ruby \
    .R Library/R .roswell \
    go/bin .local/share/go .g .gvm .cargo/bin .local/share/cargo .local/share/rustup .elan .moon .nimble .pub-cache .swiftly .swiftenv \
    .cabal/bin .ghcup/bin .stack/programs .luarocks .mix .kerl .jbang .jdks .konan .local/share/coursier .local/share/JetBrains \
    Library/Android .platformio google-cloud-sdk .pulumi/bin .fly/bin .dapr/bin .arkade .tiup .wasmer \
    .wasmtime .foundry/bin .krew/bin .pixi/bin .basher .atuin/bin";

/// Directories of the system.
const SYSTEM: &str = "\
    /bin /sbin /lib /lib32 /lib64 /libexec /usr /etc /boot /efi /nix /gnu /snap /home/linuxbrew \
    /run/systemd /run/udev /var/cron /var/db /var/guix /var/spool/anacron /var/spool/at /var/spool/cron \
    /var/lib/apk /var/lib/apt /var/lib/cloud /var/lib/confexts /var/lib/dpkg /var/lib/extensions /var/lib/flatpak /var/lib/gems \
    /var/lib/kubelet /var/lib/machines /var/lib/pacman /var/lib/polkit-1 /var/lib/portables /var/lib/rancher /var/lib/rpm \
    /var/lib/snapd /var/lib/systemd \
    /Applications /Library /System /private/etc /private/var/at /private/var/db /var/at";

/// The number of entries of a directory that are looked at for links.
const MOST_ENTRIES: usize = 1000;

impl Host {
    /// Returns the directories with keys, credentials, settings of cage and of engines, and the engines' storage. They need
    /// not exist: a program that can create one can fill it.
    pub fn secret_dirs(&self) -> Vec<PathBuf> {
        let homes = self.homes().flat_map(|home| {
            let below = [
                ".ssh",
                ".gnupg",
                ".aws",
                ".azure",
                ".kube",
                ".docker",
                ".config/cage",
                ".config/cage/env",
                ".config/cage/home",
                ".config/cage/mounts",
                ".config/cage/ports",
                ".config/containers",
                ".config/gcloud",
                ".config/gh",
                ".colima",
                ".lima",
                ".orbstack",
                ".local/share/containers",
                ".local/share/docker",
                ".password-store",
                "Library/Keychains",
                ".bash_history",
                ".zsh_history",
                ".cargo/credentials.toml",
                ".config/1Password",
                ".config/BraveSoftware",
                ".config/chromium",
                ".config/doctl",
                ".config/glab-cli",
                ".config/google-chrome",
                ".config/hub",
                ".config/op",
                ".config/rclone",
                ".config/sops",
                ".git-credentials",
                ".local/share/keyrings",
                ".mozilla",
                ".pgpass",
                ".terraform.d",
                ".thunderbird",
                ".vault-token",
                "Library/Application Support/BraveSoftware",
                "Library/Application Support/Firefox",
                "Library/Application Support/Google/Chrome",
            ];
            below.map(|dir| home.join(dir))
        });
        let system = ["/run/user", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"];
        let variables = ["GNUPGHOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"];
        let chosen = variables.into_iter().filter_map(|name| self.path_variable(name));
        homes
            .chain(system.map(PathBuf::from))
            .chain(chosen.filter(|path| path.is_absolute()).map(|path| path.components().collect()))
            .chain(self.state_dirs())
            .collect()
    }

    /// Returns files and directories in the homes that programs run or trust, and those with programs. Dotfile managers make some of
    /// them links.
    pub fn dotfiles(&self) -> impl Iterator<Item = PathBuf> {
        let names = dotfile_names().chain(PROGRAMS.split_ascii_whitespace());
        self.homes().flat_map(move |home| names.clone().map(|name| home.join(name)))
    }

    /// Returns a link in a home that leads to a file in `path`, or to a directory that `path` is in, if programs run or trust what
    /// is there: a hidden one, or one among settings. Managers of dotfiles link files one by one.
    pub fn link_into(&self, path: &Path) -> Option<PathBuf> {
        self.homes().find_map(|home| self.link_from(home, path))
    }

    fn link_from(&self, home: &Path, path: &Path) -> Option<PathBuf> {
        let leads_into = |link: &PathBuf| {
            let target = fs::read_link(link).ok().zip(link.parent()).map(|(target, dir)| dir.join(target));
            // Code in a cage can create the target if it is missing.
            target.is_some_and(|target| file::resolved(&file::lexical(&target)).starts_with(path))
                || file::real(link).starts_with(path)
                || file::links(link).iter().any(|link| link.starts_with(path))
        };
        let is_hidden =
            |link: &PathBuf| link.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let own = links_in(home, 0).into_iter().filter(is_hidden).chain(links_in(&home.join(".config"), 0));
        let dotfiles = dotfile_names().map(|name| home.join(name));
        let secrets = self.secret_dirs().into_iter().filter(|dir| dir.starts_with(home));
        let among =
            dotfiles.flat_map(|dir| links_in(&dir, 2)).chain(secrets.flat_map(|dir| links_in(&dir, 1)));
        let of_cage = self.state_dirs();
        let mut among = among.filter(|link| !of_cage.iter().any(|dir| link.parent() == Some(dir)));
        let is_above = |link: &PathBuf| path.starts_with(file::real(link));
        own.into_iter().find(leads_into).or_else(|| among.find(|link| leads_into(link) || is_above(link)))
    }

    /// Returns why code that can write a file or directory can act on this machine, if it can. What is in the project is the
    /// project's own, also if PATH has it.
    pub fn counts_here(&self, path: &Path, project: &Path) -> Option<String> {
        if let Some(why) = system_dir(path) {
            return Some(why.to_owned());
        }
        if self.homes().any(|home| file::real(home).starts_with(path)) {
            return Some("your whole home directory is in it".to_owned());
        }
        let overlaps = |place: &Path| path.starts_with(place) || place.starts_with(path);
        if SYSTEM.split_ascii_whitespace().any(|dir| overlaps(Path::new(dir))) {
            return Some("it belongs to the system".to_owned());
        }
        let in_both = |dir: &PathBuf| overlaps(dir) || overlaps(&file::real(dir));
        if let Some(dir) = self.program_dirs(project).into_iter().find(in_both) {
            return Some(format!(
                "your shell looks for programs in {}",
                text::escape(&dir.to_string_lossy())
            ));
        }
        let is_hidden_file = || (self.is_hidden(path) && !path.is_dir()).then(|| path.to_owned());
        let mut places = self.dotfiles().chain(self.secret_dirs());
        let place = places.find(in_both);
        let place = place.or_else(|| self.link_into(path)).or_else(is_hidden_file)?;
        Some(format!(
            "{} counts on this machine as soon as it is written",
            text::escape(&place.to_string_lossy())
        ))
    }

    /// Returns the directories in PATH, without those in the project and those with a whole home in them.
    fn program_dirs(&self, project: &Path) -> Vec<PathBuf> {
        let path = self.path_variable("PATH").into_iter().flat_map(std::env::split_paths);
        let is_above = |dir: &Path| dir == Path::new("/") || self.homes().any(|home| home.starts_with(dir));
        path.filter(|dir| dir.is_absolute() && !file::real(dir).starts_with(project) && !is_above(dir))
            .collect()
    }

    /// Returns whether a path in a home begins with a dot. No list has the directories of all programs.
    pub fn is_hidden(&self, path: &Path) -> bool {
        let mut homes = self.homes().map(file::real);
        let starts = |name: &Path| name.as_os_str().as_encoded_bytes().starts_with(b".");
        homes.any(|home| path.strip_prefix(home).is_ok_and(starts))
    }

    /// Returns the sockets of engines and of the SSH agent.
    pub fn sockets(&self) -> impl Iterator<Item = PathBuf> {
        self.path_variable("SSH_AUTH_SOCK").map(Path::to_owned).into_iter().chain(self.engine_sockets())
    }

    /// Returns the usual sockets of engines and those in variables, whether they exist or not. Access to one gives control of
    /// the engine. The sockets of products are in [`Host::secret_dirs`], too.
    pub fn engine_sockets(&self) -> impl Iterator<Item = PathBuf> {
        let named = ["DOCKER_HOST", "CONTAINER_HOST"].into_iter().filter_map(|name| self.variable(name));
        let named = named.filter_map(|endpoint| endpoint.strip_prefix("unix://")).map(PathBuf::from);
        let system = [
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/run/podman/podman.sock",
            "/run/containerd/containerd.sock",
            "/run/crio/crio.sock",
            "/run/buildkit/buildkitd.sock",
        ];
        let own = self.path_variable("XDG_RUNTIME_DIR").map(Path::to_owned).into_iter();
        let own = own.chain(self.sudo_user.map(|user| format!("/run/user/{}", user.uid).into()));
        let own = own.flat_map(|dir| ["docker.sock", "podman/podman.sock"].map(|socket| dir.join(socket)));
        let products = [
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".config/colima/default/docker.sock",
            ".orbstack/run/docker.sock",
            ".rd/docker.sock",
        ];
        let products = self.homes().flat_map(move |home| products.map(|socket| home.join(socket)));
        let products = products.filter(|socket| socket.exists());
        named.chain(system.map(PathBuf::from)).chain(own).chain(products)
    }

    /// Returns the sockets in a mounted file or directory by which code in a cage could control programs of this machine, also if the
    /// mount is read-only. A server may make its socket later in the directories where most are. Sockets in the project are the
    /// project's own; those of a Mac don't work in a virtual machine.
    pub fn sockets_of_programs(&self, path: &Path, project: &Path) -> Option<String> {
        if self.os != Os::Linux {
            return None;
        }
        let chosen =
            ["XDG_RUNTIME_DIR", "TMUX_TMPDIR"].into_iter().filter_map(|name| self.path_variable(name));
        let dirs = ["/tmp", "/var/tmp", "/run"].map(Path::new).into_iter().chain(chosen);
        let mut dirs = dirs.filter(|dir| dir.is_absolute()).map(file::real);
        let path = file::real(path);
        if let Some(dir) = dirs.clone().find(|dir| dir.starts_with(&path)) {
            return Some(format!("sockets in {}", dir.display()));
        }
        let is_looked_at = file::is_socket(&path) || dirs.any(|dir| path.starts_with(dir));
        let socket = if is_looked_at && !path.starts_with(project) { socket_in(&path, 2) } else { None };
        socket.map(|socket| format!("the socket {}", socket.display()))
    }

    /// Returns whether a directory may be a project: not one of the system, with its programs, nor one above the home.
    pub fn may_be_a_project(&self, dir: &Path) -> bool {
        let system = ["/bin", "/sbin", "/usr", "/opt", "/nix", "/snap", "/Applications"];
        dir != Path::new("/")
            && !self.is_above_home(dir)
            && !system.iter().any(|system| dir.starts_with(system))
    }

    /// Returns whether a directory is a home or has one inside. In a project, a variable can make any directory the home.
    fn is_above_home(&self, dir: &Path) -> bool {
        let is_own = || fs::metadata(dir).is_ok_and(|metadata| metadata.uid() == self.ids.uid);
        let mut above = self.homes().filter(|home| home.starts_with(dir));
        above.any(|home| dir == home || system_dir(dir).is_some() || is_shared(dir) || !is_own())
    }
}

fn dotfile_names() -> impl Iterator<Item = &'static str> + Clone {
    DOTFILES.split_ascii_whitespace().chain(WITH_BLANKS)
}

/// Returns the path, or one in it and so many levels below, that is a socket.
fn socket_in(path: &Path, levels: usize) -> Option<PathBuf> {
    if file::is_socket(path) {
        return Some(path.to_owned());
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten().take(MOST_ENTRIES);
    let is_in = |kind: fs::FileType| kind.is_socket() || (kind.is_dir() && levels > 1);
    let mut entries = entries.filter(|entry| entry.file_type().is_ok_and(is_in));
    entries.find_map(|entry| socket_in(&entry.path(), levels.saturating_sub(1)))
}

/// Returns the symbolic links in a directory and so many levels below.
fn links_in(dir: &Path, levels: usize) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().take(MOST_ENTRIES);
    let found = entries.flat_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_symlink() => vec![entry.path()],
        Ok(kind) if kind.is_dir() && levels > 0 && entry.file_name() != "bin" => {
            links_in(&entry.path(), levels - 1)
        }
        _ => Vec::new(),
    });
    found.collect()
}

/// Returns why a directory belongs to the system, if it does.
pub fn system_dir(path: &Path) -> Option<&'static str> {
    let dirs = [
        "/",
        "/bin",
        "/boot",
        "/etc",
        "/lib",
        "/lib32",
        "/lib64",
        "/libexec",
        "/nix",
        "/private/etc",
        "/run",
        "/sbin",
        "/snap",
        "/usr",
        "/usr/bin",
        "/usr/include",
        "/usr/lib",
        "/usr/lib32",
        "/usr/lib64",
        "/usr/libexec",
        "/usr/local",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/share",
        "/var",
        "/var/lib",
        "/var/run",
        "/System",
    ];
    let never_below = ["/proc", "/sys", "/dev"];
    if dirs.iter().any(|dir| path == Path::new(dir)) {
        Some("it is a system directory")
    } else if never_below.iter().any(|dir| path.starts_with(dir)) {
        Some("it is in a system directory")
    } else {
        None
    }
}

/// Returns whether several people share a directory, or keep their projects in it.
pub fn is_shared(path: &Path) -> bool {
    let dirs = [
        "/Applications",
        "/Library",
        "/Users",
        "/home",
        "/media",
        "/mnt",
        "/opt",
        "/private",
        "/private/tmp",
        "/private/var",
        "/private/var/tmp",
        "/root",
        "/srv",
        "/tmp",
        "/var/tmp",
    ];
    dirs.iter().any(|dir| path == Path::new(dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn all_homes_of_a_person_have_places_that_count() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for dir in ["root", "person/.config/nvim", "person/.docker/run", "linked", "data"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("person/.docker/run/docker.sock"), "").unwrap();
        // Not there yet.
        symlink(root.join("linked/o.lua"), root.join("person/.config/nvim/o.lua")).unwrap();
        let mut host = Host::sample(&[]);
        (host.home, host.cwd) = (Some(root.join("root")), None);
        let counts = |host: &Host, path: &str| host.counts_here(&root.join(path), Path::new("/p")).is_some();
        let places = [
            "person",
            "person/.bashrc",
            "person/.ssh/id",
            "person/bin",
            "person/.config",
            "person/.local/state/cage",
            "linked",
        ];
        for place in places {
            assert!(!counts(&host, place), "{place}: the control, nobody's home");
            assert!(host.may_be_a_project(&root.join("person")));
        }
        host.other_homes.push(root.join("person"));
        for place in places {
            assert!(counts(&host, place), "{place}");
            assert_eq!(
                host.is_hidden(&root.join(place)),
                place.contains("/.") || place.starts_with('.'),
                "{place}"
            );
        }
        for place in ["root/.bashrc", "root/bin"] {
            assert!(counts(&host, place), "{place}");
        }
        for place in ["data", "person/data", "root/data"] {
            assert!(!counts(&host, place), "{place}");
        }
        assert!(!host.may_be_a_project(&root.join("person")));
        assert!(host.engine_sockets().any(|socket| socket == root.join("person/.docker/run/docker.sock")));
    }
    #[test]
    fn where_a_shell_finds_programs_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for dir in ["home/app/node_modules/.bin", "home/tools/1.2/bin", "home/data", "opt/venv/bin"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        symlink("1.2", root.join("home/tools/now")).unwrap();
        symlink(root.join("opt/venv"), root.join("home/app/.venv")).unwrap();
        let dirs =
            ["home/tools/now/bin", "home/app/node_modules/.bin", "home/app/.venv/bin", "home", "later/bin"];
        let path: Vec<_> = dirs.iter().map(|dir| root.join(dir).display().to_string()).collect();
        let path = format!("{}:/:home/data:.::data", path.join(":"));
        let [host, with_path] = [&[][..], &[("PATH", path.as_str())]].map(|variables| {
            let mut host = Host::sample(variables);
            host.home = Some(root.join("home"));
            host
        });
        let counts = |host: &Host, path: &str| host.counts_here(&root.join(path), &root.join("home/app"));
        for place in ["home/tools", "home/tools/1.2", "home/tools/1.2/bin/tool", "opt/venv", "opt", "later"] {
            assert_eq!(counts(&host, place), None, "{place}: the control");
            let why = counts(&with_path, place).unwrap_or_default();
            assert!(why.starts_with("your shell looks for programs in /"), "{place}: {why}");
        }
        for place in ["home/app/node_modules", "home/app/node_modules/.bin", "home/data", "home/tools/2"] {
            assert_eq!(counts(&with_path, place), None, "{place}");
        }
        // For another project they are not its own.
        assert!(with_path.counts_here(&root.join("home/app/node_modules"), Path::new("/p")).is_some());
    }

    #[test]
    fn sockets_of_programs_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for dir in ["run/bus", "run/data", "tmux/tmux-1000", "shots/one/two", "home/db", "app/db"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        let sockets = ["run/bus/s", "tmux/tmux-1000/default", "shots/one/two/s", "home/db/s", "app/db/s"];
        let _servers = sockets.map(|socket| UnixListener::bind(root.join(socket)).unwrap());
        let [run, tmux] = ["run", "tmux"].map(|dir| root.join(dir).display().to_string());
        let mut host = Host::sample(&[("XDG_RUNTIME_DIR", &run), ("TMUX_TMPDIR", &tmux)]);
        let found = |host: &Host, path: &str| host.sockets_of_programs(&root.join(path), &root.join("app"));
        let all = ["/", "/tmp", "/var/tmp", "/run", "/var", "", "run", "run/bus", "tmux", "tmux/tmux-1000"];
        for path in all.into_iter().chain(["shots/one/two", "shots/one"]).chain(sockets[..4].iter().copied())
        {
            assert!(found(&host, path).is_some(), "{path}");
        }
        assert_eq!(found(&host, "/tmp").unwrap(), "sockets in /tmp");
        assert_eq!(found(&host, "run/bus"), Some(format!("the socket {run}/bus/s")));
        for path in ["run/data", "app/db", "app/db/s", "/srv", "/home/me/data", "/var/log"] {
            assert_eq!(found(&host, path), None, "{path}");
        }
        host.os = Os::Mac;
        assert_eq!(found(&host, "/tmp"), None);
    }

    #[test]
    fn directories_of_the_system_and_of_programs_count() {
        let host = Host::sample(&[]);
        let counts = |path: &str| host.counts_here(Path::new(path), Path::new("/home/me/app")).is_some();
        for path in [
            "/bin/sh",
            "/home/linuxbrew/.linuxbrew",
            "/var/spool",
            "/var/spool/cron/crontabs",
            "/run/systemd/system",
            "/run/user/1000",
            "/var/lib/dpkg/info",
            "/nix/store",
            "/home/me/miniconda3",
            "/home/me/miniconda3/envs/x/bin",
            "/home/me/node_modules/x",
            "/home/me/Library/Input Methods/x",
        ] {
            assert!(counts(path), "{path}");
        }
        for path in [
            "/opt",
            "/opt/tool",
            "/home/me/R",
            "/var/lib/pgsql",
            "/var/spool/mail",
            "/run/pcscd",
            "/home/me/R-project",
            "/home/me/go/pkg",
        ] {
            assert!(!counts(path), "{path}");
        }
    }
}
