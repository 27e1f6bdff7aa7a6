"""A rater made of keys: judges all texts of a page in headless Chromium, as Qt has it, by the keyboard alone.

``python in_chromium.py PAGE FOLDER NAME...`` prints what was seen, a line of JSON for each rater of these names; files
that the page saves go to FOLDER, and so do pictures where SHOTS is set. Half-way through, every rater closes the page
and opens it again.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("QTWEBENGINE_DISABLE_SANDBOX", "1")
os.environ.setdefault("QTWEBENGINE_CHROMIUM_FLAGS", "--disable-gpu")

from PySide6.QtCore import QEventLoop, Qt, QTimer, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWebEngineCore import QWebEnginePage, QWebEngineProfile, qWebEngineChromiumVersion
from PySide6.QtWebEngineWidgets import QWebEngineView
from PySide6.QtWidgets import QApplication

PATIENCE = 20_000
"""Milliseconds that anything may take."""
GUARD = 170
"""Milliseconds between two answers, a little more than the page takes for a slip."""


class Page(QWebEnginePage):
    """Keeps what the page complains of."""

    complaints: list[str] = []  # noqa: RUF012

    def javaScriptConsoleMessage(self, level, message, line, source):
        self.complaints.append(f"{line}: {message}")


class Rater:
    """A browser and a keyboard."""

    def __init__(self, address, folder):
        self.address, self.folder = address, folder
        self.saved = []
        self.profile = QWebEngineProfile("rater", None)
        self.profile.setPersistentStoragePath(str(folder / "profile"))
        self.profile.downloadRequested.connect(self.download)
        self.view = QWebEngineView()
        self.view.resize(900, 720)
        self.page = Page(self.profile, self.view)
        self.view.setPage(self.page)
        self.view.show()

    def download(self, request):
        request.setDownloadDirectory(str(self.folder))
        self.saved.append(request.downloadFileName())
        request.accept()

    def wait(self, condition, what):
        loop, ticks = QEventLoop(), QTimer(interval=20)
        ticks.timeout.connect(lambda: condition() and loop.quit())
        QTimer.singleShot(PATIENCE, lambda: loop.exit(1))
        ticks.start()
        late = loop.exec()
        ticks.stop()
        if late:
            raise SystemExit(f"waited in vain for {what}; the page said {self.page.complaints}")

    def ask(self, script):
        found = []
        self.page.runJavaScript(script, 0, found.append)
        self.wait(lambda: found, script)
        return found[0]

    def open(self):
        loaded = []
        self.page.loadFinished.connect(loaded.append)
        self.view.load(QUrl.fromLocalFile(str(self.address)))
        self.wait(lambda: loaded, "the page")
        self.until("document.activeElement.id === 'name'")

    def until(self, script):
        self.wait(lambda: self.ask(script), script)

    def press(self, key):
        keys = {"h": Qt.Key.Key_H, "m": Qt.Key.Key_M, "u": Qt.Key.Key_U, "p": Qt.Key.Key_P}
        keys |= {"left": Qt.Key.Key_Left, "right": Qt.Key.Key_Right, "enter": Qt.Key.Key_Return, "tab": Qt.Key.Key_Tab}
        QTest.keyClick(self.view.focusProxy(), keys[key])

    def text(self, id_):
        return self.ask(f"document.getElementById('{id_}').textContent")

    def shot(self, name):
        if "SHOTS" in os.environ:
            QTest.qWait(250)
            self.view.grab().save(str(self.folder / f"{name}.png"))

    def begin(self, name):
        self.open()
        offered = self.ask("document.getElementById('name').value")
        self.shot("start")
        self.ask("document.getElementById('name').select()")
        QTest.keyClicks(self.view.focusProxy(), name)
        self.press("enter")
        self.until("!document.getElementById('rate').hidden")
        return offered

    def answer(self, key):
        before = self.text("progress")
        QTest.qWait(GUARD)
        self.press(key)
        self.until(
            f"document.getElementById('progress').textContent !== {json.dumps(before)} || "
            "document.getElementById('rate').hidden"
        )

    def judge(self, name):
        """The texts in this rater's order and what was said of each, and what else was seen."""
        self.begin(name)
        total = int(self.text("progress").split()[-1])
        seen, said = [], []
        undone = again = offered = seen_again = ""
        for place in range(total):
            if place == total // 2:  # the tab is closed, and opened again
                again = self.text("progress")
                offered = self.begin(name)
                again = [again, self.text("progress")]
            shown = self.text("text")
            human = sum(map(ord, shown)) % 3 > 0
            if place == 2:  # a slip, and back
                self.answer("m" if human else "h")
                undone = [self.text("progress")]
                self.answer("u")
                undone.append(self.text("progress"))
            if place == 1 and not self.ask("document.getElementById('tune').hidden"):
                for label in ("■ Stop", "▶ Play"):
                    self.press("p")
                    self.until(f"document.getElementById('play').textContent === '{label}'")
            if place == 1:  # stop, and go on: with the keys that every page has
                for button, there in (("pause", "done"), ("back", "rate")):
                    self.ask(f"document.getElementById('{button}').focus()")
                    self.press("enter")
                    self.until(f"!document.getElementById('{there}').hidden")
                seen_again = self.text("progress")
            if place == 3:
                self.shot("text")
            seen.append(shown)
            said.append("human" if human else "machine")
            self.answer(("h", "left")[place % 2] if human else ("m", "right")[place % 2])
        self.until("document.activeElement.id === 'save'")
        self.shot("done")
        self.press("enter")
        self.until("document.getElementById('saved').textContent !== ''")
        self.wait(lambda: self.saved and (self.folder / self.saved[-1]).exists(), "the file")
        return {"rater": name, "seen": seen, "said": said, "undone": undone, "again": again, "back": seen_again,
                "offered": offered, "file": self.saved[-1]}  # fmt: skip


def main(address, folder, *names):
    _application = QApplication(sys.argv[:1])
    rater = Rater(Path(address).resolve(), Path(folder).resolve())
    if "SIZE" in os.environ:
        rater.view.resize(*map(int, os.environ["SIZE"].split("x")))
    for name in names:
        print(json.dumps({**rater.judge(name), "complaints": rater.page.complaints}), flush=True)
    print(json.dumps({"chromium": qWebEngineChromiumVersion()}), flush=True)
    sys.stdout.flush()
    os._exit(0)  # Qt's own end may take seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
