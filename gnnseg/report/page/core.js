// Every text goes through textContent: nothing that comes from the data is ever read as markup.
const DATA = JSON.parse(document.getElementById('data').textContent);
const SVG = 'http://www.w3.org/2000/svg';
// Okabe and Ito's palette, lighter where the page is dark; shapes tell groups past the eighth apart.
const LIGHT = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#c98a00', '#5b5b5b', '#a89f00'];
const DARK = ['#4aa8e0', '#f08030', '#2cc79a', '#e39cc2', '#8fd0f7', '#f0b43c', '#b9b9b9', '#f0e442'];
const SHAPES = ['circle', 'square', 'triangle', 'diamond', 'cross', 'ring', 'plus', 'bar'];

const byId = id => document.getElementById(id);
const isDark = () => document.documentElement.dataset.theme === 'dark';
const colour = n => n < 0 ? (isDark() ? '#5a606b' : '#b9bcc2') : (isDark() ? DARK : LIGHT)[n % 8];
const shape = n => n < 0 ? 'circle' : SHAPES[Math.floor(n / 8) % 8];

function el(tag, attributes, ...children) {
  const svg = ['svg', 'g', 'path', 'line', 'rect', 'circle', 'text', 'polyline', 'title'].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') node.setAttribute('class', value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'css') Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false)
    .map(child => child instanceof Node ? child : document.createTextNode(String(child))));
  return node;
}
// A name from the data: its direction is its own and does not reach what stands beside it.
const bdi = (text, cls) => el('bdi', {class: cls, dir: 'auto', title: text.length > 38 ? text : null}, text);
const fill = (node, ...children) => { node.replaceChildren(...children.flat().filter(Boolean)); return node; };
const say = text => { byId('status').textContent = text; };
const number = (x, digits = 3) => x === null || x === undefined || Number.isNaN(x) ? '–' : x.toFixed(digits);
const count = x => x === null || x === undefined ? 'under ' + DATA.run.min_users : x.toLocaleString('en');
const percent = x => x < 0.01 && x > 0 ? '<1 %' : Math.round(100 * x) + ' %';
const plural = (n, noun) => `${n.toLocaleString('en')} ${noun}${n === 1 ? '' : 's'}`;
const span = i => i ? `${number(i.low)} to ${number(i.high)}` : '';
const signed = x => (x > 0 ? '+' : x < 0 ? '−' : '') + Math.abs(x).toFixed(4);

function bytes(text, Type) {
  const raw = atob(text), found = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) found[i] = raw.charCodeAt(i);
  return new Type(found.buffer);
}

const PATHS = {
  circle: 'M8 1.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13z', square: 'M2 2h12v12H2z', triangle: 'M8 1l7 13H1z',
  diamond: 'M8 .5L15.5 8L8 15.5L.5 8z', cross: 'M3.5 1L8 5.5L12.500 1L15 3.5L10.500 8L15 12.500L12.500 15L8 10.500L3.500 15L1 12.500L5.500 8L1 3.500z',
  ring: 'M8 1a7 7 0 1 0 0 14a7 7 0 1 0 0-14zM8 5a3 3 0 1 1 0 6a3 3 0 1 1 0-6z', plus: 'M6 1h4v5h5v4h-5v5H6v-5H1V6h5z', bar: 'M1 5h14v6H1z',
};
const key = (n, small) => el('svg', {class: small ? 'key small' : 'key', viewBox: '0 0 16 16', 'aria-hidden': 'true', 'data-key': n},
  el('path', {d: PATHS[shape(n)], fill: colour(n), 'fill-rule': 'evenodd'}));

const SEGMENT = new Map(DATA.segments.map(s => [s.segment, s]));
const segmentName = s => (SEGMENT.get(s) || {}).name || `segment ${s}`;
const named = s => el('span', {class: 'named'}, key(s, true), bdi(segmentName(s), 'one'));

function section(id, title, about, ...content) {
  const node = el('section', {id, 'aria-labelledby': id + '-title'},
    el('div', {class: 'head'}, el('h2', {id: id + '-title'}, title), about && el('p', {}, about)), ...content);
  byId('main').append(node);
  SECTIONS.push([id, title]);
  return node;
}
const SECTIONS = [];
const REDRAW = [];
