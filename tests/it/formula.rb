# A stand-in for Homebrew that evaluates a formula: prints what it would download on each system, and what it would install.
#
#   ruby formula.rb FORMULA
require "json"

# Records what the formula says for one system.
class Formula
  HERE = { os: nil, arch: nil, head: false }
  SAID = {}

  class << self
    %i[desc homepage license url sha256].each { |name| define_method(name) { |value, **| SAID[name] = value } }

    def on_macos = (yield if HERE[:os] == :macos)
    def on_linux = (yield if HERE[:os] == :linux)
    def on_arm = (yield if HERE[:arch] == :arm)
    def on_intel = (yield if HERE[:arch] == :intel)
    def livecheck = nil
    def test = nil
    def depends_on(what) = SAID[:depends_on] = what

    def head(address = nil, **)
      return unless HERE[:head]

      address ? SAID[:url] = address : yield
    end
  end

  # Records the commands and files of an installation.
  class Files
    def initialize(name) = @name = name
    def install(*what) = (SAID[:installs] ||= []) << [@name, *what.flatten]
    def /(other) = "#{@name}/#{other}"
  end

  def build = Struct.new(:head?).new(HERE[:head])
  def bin = Files.new("bin")
  def man1 = Files.new("man1")
  def std_cargo_args = ["std_cargo_args"]
  def system(*words) = (SAID[:runs] ||= []) << words.map { |word| word.is_a?(Files) ? "man1" : word }
  def generate_completions_from_executable(*words) = SAID[:completions] = words
end

# A recipe installs files by a pattern; the archive has one page of the manual here.
def Dir.[](pattern) = [pattern.sub("*", "cage")]

load ARGV.fetch(0)
systems = [:macos, :linux].product([:arm, :intel], [false, true]).to_h do |os, arch, head|
  Formula::HERE.update(os:, arch:, head:)
  Formula::SAID.clear
  Object.send(:remove_const, :Cage)
  load ARGV.fetch(0)
  Cage.new.install
  Cage.new.caveats
  [[os, arch, *(:head if head)].join(" "), Formula::SAID.dup]
end
puts JSON.generate(systems)
