"use strict";
for (const button of document.querySelectorAll("button.copy")) {
  const source = button.parentElement.querySelector("code");
  const label = button.textContent;
  // Without a permission for the clipboard, the text is selected and copied as by the keyboard.
  const copySelection = () => {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  };
  const show = (copied) => {
    button.textContent = copied ? "Copied" : "Select and copy";
    document.getElementById("copied").textContent = copied ? "Copied to the clipboard" : "Not copied";
    setTimeout(() => { button.textContent = label; }, 2000);
  };
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      show(true);
    } catch {
      show(copySelection());
    }
  });
  button.hidden = false;
}
