from importlib.metadata import version

import sk_cbloss
from sk_cbloss import _show_versions


def test_names_system_packages_and_devices(capsys):
    sk_cbloss.show_versions()
    rows = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert list(rows) == ["system", "python", *_show_versions.PACKAGES, "devices"]
    assert rows["scikit-learn"] == version("scikit-learn")
    assert rows["devices"].startswith("cpu (")


def test_says_what_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr(_show_versions, "PACKAGES", ("no-such-package",))
    sk_cbloss.show_versions()
    assert "no-such-package: not installed" in capsys.readouterr().out
