class Towline < Formula
  desc "Remote shell for edge devices with no open ports: the command line"
  homepage "https://example.invalid/towline"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_arm do
    url "https://example.invalid/towline/towline-@VERSION@-macos-aarch64.tar.gz"
    sha256 "@SHA256-macos-aarch64@"
  end
  on_intel do
    url "https://example.invalid/towline/towline-@VERSION@-macos-x86_64.tar.gz"
    sha256 "@SHA256-macos-x86_64@"
  end

  def install
    bin.install "towline"
    generate_completions_from_executable(bin/"towline", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/towline --version")
  end
end
