SUMMARY = "Remote shell for edge devices with no open ports: the agent"
DESCRIPTION = "Dials out to a Towline gateway and opens shells and commands that its authority has signed for. Listens on nothing."
HOMEPAGE = "https://example.invalid/towline"
SECTION = "console/network"
CVE_PRODUCT = "towline"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=817079d568732eb15f82229d45ef56a8 \
                    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# The tree that contains this layer: one commit holds the recipe and what it builds. Nothing is fetched in
# do_compile; `cargo vendor` beside the tree, or a mirror, is for a build without a network.
SRC_URI = ""
inherit externalsrc cargo cargo-update-recipe-crates systemd
EXTERNALSRC = "${@os.path.abspath(os.path.join(d.getVar('THISDIR'), '../../../..'))}"

# The agent alone: cargo unifies the features of what it builds together.
CARGO_BUILD_FLAGS:append = " --package towline-agent --bin towline-agent"

SYSTEMD_SERVICE:${PN} = "towline-agent.service"
# An image carries no identity, so the service may run at once: it waits for an order to enroll.
SYSTEMD_AUTO_ENABLE = "enable"

PACKAGECONFIG ??= "${@bb.utils.filter('DISTRO_FEATURES', 'systemd', d)}"
PACKAGECONFIG[systemd] = ""

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/towline-agent ${D}${bindir}/towline-agent
    install -D -m 0644 ${S}/packaging/files/agent.toml ${D}${sysconfdir}/towline/agent.toml
    install -d -m 0755 ${D}${sysconfdir}/towline/agent.d
    if ${@bb.utils.contains('PACKAGECONFIG', 'systemd', 'true', 'false', d)}; then
        install -D -m 0644 ${S}/systemd/towline-agent.service ${D}${systemd_system_unitdir}/towline-agent.service
    fi
}

CONFFILES:${PN} = "${sysconfdir}/towline/agent.toml"
FILES:${PN} += "${sysconfdir}/towline"
