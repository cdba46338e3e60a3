// What keeps people from reading a page, as a list of sentences: rules of WCAG 2.2 that a program can check.
(() => {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (it) => `<${it.tagName.toLowerCase()}${it.id ? '#' + it.id : ''} class="${it.getAttribute('class') ?? ''}">`;
  const seen = (it) => it.checkVisibility({ visibilityProperty: true }) && !it.closest('.unseen');

  if (!document.documentElement.lang) problems.push('the page has no language');
  if (!document.title.trim()) problems.push('the page has no title');
  if (all('main').length !== 1) problems.push('the page has not one main part');
  if (all('h1').length !== 1) problems.push('the page has not one h1');

  let last = 0;
  for (const it of all('h1, h2, h3, h4, h5, h6')) {
    const level = Number(it.tagName[1]);
    if (level > last + 1) problems.push(`the heading "${it.textContent}" skips a level`);
    last = level;
  }

  const ids = all('[id]').map((it) => it.id);
  ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => problems.push(`two elements have the id ${id}`));
  for (const attribute of ['aria-labelledby', 'aria-describedby', 'for']) {
    for (const it of all(`[${attribute}]`)) {
      it.getAttribute(attribute).split(' ').filter((id) => !document.getElementById(id))
        .forEach((id) => problems.push(`${name(it)} refers to ${id}, which is not there`));
    }
  }
  all('a[href^="#"]').filter((it) => !document.getElementById(it.getAttribute('href').slice(1)))
    .forEach((it) => problems.push(`the link "${it.textContent}" leads nowhere`));
  all('img:not([alt])').forEach((it) => problems.push(`${name(it)} has no alt`));
  all('table').filter((it) => !it.querySelector('caption') || !it.querySelector('thead th[scope]'))
    .forEach((it) => problems.push(`${name(it)} has no caption or no headers`));

  const controls = 'button, input, select, textarea, summary, [tabindex], a[href]:not(p a, dd a)';
  for (const it of all(controls).filter((it) => seen(it) && !it.matches('.skip'))) {
    const { width, height } = (it.closest('label') ?? it).getBoundingClientRect();
    if (Math.min(width, height) < 24) problems.push(`${name(it)} is ${width} x ${height}, too small to hit`);
  }
  for (const it of all('*').filter((it) => seen(it) && it.scrollWidth > it.clientWidth + 1)) {
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(it).overflowX);
    if (scrolls && it.tabIndex < 0) problems.push(`${name(it)} scrolls, but not by keys`);
  }

  const light = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [red, green, blue] = [r, g, b].map((level) => light(level / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (it) => {
    for (let at = it; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const text = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (text.nextNode()) {
    const it = text.currentNode.parentElement;
    if (!text.currentNode.data.trim() || !seen(it) || it.closest('script, style, noscript')) continue;
    const style = getComputedStyle(it);
    const [size, weight] = [parseFloat(style.fontSize), Number(style.fontWeight)];
    const large = size >= 24 || (size >= 18.66 && weight >= 700);
    const [a, b] = [luminance(parts(style.color)), luminance(ground(it))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < (large ? 3 : 4.5)) {
      problems.push(`"${text.currentNode.data.trim().slice(0, 40)}" has a contrast of ${ratio.toFixed(2)}`);
    }
    if (size < 12) problems.push(`"${text.currentNode.data.trim().slice(0, 40)}" is ${size} pixels high`);
  }
  return problems;
})()
