"""`sys.disk` on machines of other kinds: the table of mounts is written, the figures are those of this machine."""

from pathlib import Path

from holdfast.tools.builtin.host.disk import disks_of


def test_a_docker_host_shows_its_disk_once_and_says_what_it_left_out(tmp_path: Path) -> None:
    layers = [tmp_path / name for name in ("one", "other", "shm", "snap", "data")]
    for each in layers:
        each.mkdir()
    one, other, shm, snap, data = layers
    disks = disks_of(
        f"proc /proc proc rw 0 0\n/dev/sda2 / btrfs rw 0 0\n/dev/sda2 {data} btrfs rw,subvol=/data 0 0\n"
        f"overlay {one} overlay rw 0 0\noverlay {other} overlay rw 0 0\n"
        f"shm {shm} tmpfs rw 0 0\n/dev/loop3 {snap} squashfs ro 0 0\n"
    )
    assert [each.mount for each in disks.filesystems] == ["/"]
    assert disks.left_out == {"overlay": 2, "squashfs": 1, "tmpfs": 1}
    assert disks.told().endswith("; left out: 2 overlay, 1 squashfs, 1 tmpfs")


def test_inside_a_container_its_own_root_is_shown() -> None:
    disks = disks_of("overlay / overlay rw 0 0\n")
    assert [(each.mount, each.type) for each in disks.filesystems] == [("/", "overlay")]
    assert "left out" not in disks.told()


def test_a_folder_with_a_blank_and_one_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    disks = disks_of(f"/dev/sdb1 {tmp_path}/a\\040b ext4 rw 0 0\n/dev/sdc1 {tmp_path}/gone ext4 rw 0 0\n")
    assert [each.mount for each in disks.filesystems] == [f"{tmp_path}/a b"]
