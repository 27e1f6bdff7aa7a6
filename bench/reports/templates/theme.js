// Light or dark: as the system has it, or as the button says, which a browser may remember.

function theme(wanted) {
  document.documentElement.dataset.theme = wanted;
  const button = document.getElementById("theme");
  button.textContent = wanted === "dark" ? "Light" : "Dark";
  button.title = `switch to ${button.textContent.toLowerCase()} colours`;
}
function remembered(value) {
  try {
    if (value) localStorage.setItem("theme", value);
    return localStorage.getItem("theme");
  } catch (error) { // a browser may keep nothing for files
    return null;
  }
}
document.getElementById("theme").addEventListener("click", () => {
  const wanted = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  theme(wanted);
  remembered(wanted);
});
theme(remembered() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
