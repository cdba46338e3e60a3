'use strict';
(() => {
  document.getElementById('copy').addEventListener('click', async () => {
    const command = document.getElementById('command');
    const said = document.getElementById('copied');
    try {
      await navigator.clipboard.writeText(command.textContent);
      said.textContent = 'Copied';
    } catch {
      getSelection().selectAllChildren(command);
      said.textContent = 'Selected: copy it with your keyboard';
    }
  });
  // Paper has no way to open what is closed.
  addEventListener('beforeprint', () => document.querySelectorAll('details').forEach((it) => { it.open = true; }));
})();
