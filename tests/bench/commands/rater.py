"""A rater made of keys: judges all texts of a page in headless Chromium by the keyboard alone.

Half-way through, every rater closes the page and opens it again.
"""

import os
import shutil
from contextlib import contextmanager

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
GUARD = 170
"""Milliseconds between two answers, a little more than the page takes for a slip."""


@contextmanager
def browser(folder):
    """A browser that keeps what pages store in a folder; skips the test where there is none."""
    reason = "NOT TESTED IN A BROWSER: "
    playwright = pytest.importorskip("playwright.sync_api", reason=reason + "Playwright is not installed")
    if not CHROMIUM:
        pytest.skip(reason + "there is no Chromium")
    arguments = [] if os.geteuid() else ["--no-sandbox"]
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=arguments, offline=True, viewport={"width": 900, "height": 720}
        )
        context.set_default_timeout(20_000)
        yield context
        context.close()


class Rater:
    """One who judges.

    Args:
        context: The browser.
        address: The page.
        name: The rater's.
    """

    def __init__(self, context, address, name):
        self.context, self.address, self.name = context, address, name
        self.complaints = []
        self.page = None

    def begin(self):
        """Open the page in a new tab, and begin or go on; returns the name that it offered."""
        if self.page:
            self.page.close()
        self.page = page = self.context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.accept()))
        page.goto(self.address.as_uri())
        page.wait_for_function("document.activeElement.id === 'name'")
        offered = page.input_value("#name")
        page.evaluate("document.getElementById('name').select()")
        page.keyboard.type(self.name)
        self.press("Enter", "rate")
        return offered

    def press(self, key, section):
        """Press a key that leads to a section of the page."""
        self.page.keyboard.press(key)
        self.page.wait_for_selector(f"#{section}", state="visible")

    def text(self, name):
        return self.page.text_content(f"#{name}")

    def answer(self, key):
        before = self.text("progress")
        self.page.wait_for_timeout(GUARD)
        self.page.keyboard.press(key)
        self.page.wait_for_function(
            "before => document.getElementById('progress').textContent !== before || "
            "document.getElementById('rate').hidden",
            arg=before,
        )

    def judge(self, folder):
        """What was seen in this rater's order, what was said of each, and what else happened.

        Args:
            folder: Where the answers are saved.
        """
        self.begin()
        total = int(self.text("progress").split()[-1])
        found = {"rater": self.name, "seen": [], "said": []}
        for place in range(total):
            if place == total // 2:  # the tab is closed, and opened again
                before = self.text("progress")
                found["offered"] = self.begin()
                found["again"] = [before, self.text("progress")]
            shown = self.text("text")
            human = sum(map(ord, shown)) % 3 > 0
            if place == 2:  # a slip, and back
                self.answer("m" if human else "h")
                found["undone"] = [self.text("progress")]
                self.answer("u")
                found["undone"].append(self.text("progress"))
            if place == 1 and self.page.is_visible("#tune"):
                for label in ("■ Stop", "▶ Play"):
                    self.page.keyboard.press("p")
                    self.page.wait_for_function(
                        "label => document.getElementById('play').textContent === label", arg=label
                    )
            if place == 1:  # stop, and go on: with the keys that every page has
                for button, section in (("pause", "done"), ("back", "rate")):
                    self.page.focus(f"#{button}")
                    self.press("Enter", section)
                found["back"] = self.text("progress")
            found["seen"].append(shown)
            found["said"].append("human" if human else "machine")
            self.answer(("h", "ArrowLeft")[place % 2] if human else ("m", "ArrowRight")[place % 2])
        self.page.wait_for_function("document.activeElement.id === 'save'")
        with self.page.expect_download() as download:
            self.page.keyboard.press("Enter")
        self.page.wait_for_function("document.getElementById('saved').textContent !== ''")
        found["file"] = download.value.suggested_filename
        download.value.save_as(folder / found["file"])
        self.page.close()
        return {**found, "complaints": self.complaints}
