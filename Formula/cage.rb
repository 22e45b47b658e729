# Builds cage from source. `scripts/formula` prints the form for a release.
class Cage < Formula
  desc "Run AI coding agents in an isolated container per project"
  homepage "https://github.com/pacificsky/cage"
  license "MIT"
  head "https://github.com/pacificsky/cage.git", branch: "main"

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args
    generate_completions_from_executable(bin/"cage", "completions")
    system bin/"cage", "man", man1
  end

  def caveats
    <<~EOS
      cage needs docker, podman or colima. In a project directory:
        cage run claude --dangerously-skip-permissions
      Cages and homes of the shell script of the same name keep working.
    EOS
  end

  test do
    assert_match "cage #{version}", shell_output("#{bin}/cage version") unless build.head?
    assert_match "CAGE_COMPLETE", (bash_completion/"cage").read
    assert_path_exists man1/"cage-start.1"
    # Without an engine in PATH cage says so, and what to do.
    output = shell_output("env PATH=#{testpath} #{bin}/cage list 2>&1", 1)
    assert_match "no container runtime found", output
  end
end
