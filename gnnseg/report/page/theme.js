// Light or dark, as the system has it until the button says otherwise.
function themeButton() {
  const button = el('button', {onclick: () => setTheme(isDark() ? 'light' : 'dark')});
  const setTheme = theme => {
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === 'dark' ? 'Light' : 'Dark';
    button.setAttribute('aria-label', `Change to the ${theme === 'dark' ? 'light' : 'dark'} colours`);
    document.querySelectorAll('[data-key] path').forEach(p => p.setAttribute('fill', colour(Number(p.parentNode.dataset.key))));
    document.querySelectorAll('[data-tone]').forEach(b => { b.style.background = colour(Number(b.dataset.tone)); });
    REDRAW.forEach(draw => draw());
    if (typeof MAP !== 'undefined' && MAP && MAP.context) MAP.draw();
  };
  const wanted = window.matchMedia('(prefers-color-scheme: dark)');
  setTheme(wanted.matches ? 'dark' : 'light');
  wanted.addEventListener('change', e => setTheme(e.matches ? 'dark' : 'light'));
  return button;
}
