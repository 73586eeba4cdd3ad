// Users' histories beside what they are recommended, and the map's tools.
const PEOPLE = new Map(DATA.people.map(p => [p.name, p]));
const userName = name => DATA.run.anonymous ? name : `user ${name}`;
let personBox, personPick;

function peopleBox() {
  personBox = el('div', {'aria-live': 'polite'});
  personPick = el('div', {class: 'pick', role: 'group', 'aria-label': 'Example users'}, DATA.people.map(p => el('button', {'aria-pressed': 'false', 'data-user': p.name, onclick: () => showPerson(p.name)},
    bdi(userName(p.name), 'one'), el('small', {class: 'one'}, p.segments.length ? `${segmentName(p.segments[0][0])} · ${p.role}` : `${plural(p.length, 'interaction')}`))));
  return el('div', {class: 'panel people'}, personPick, personBox);
}

function showPerson(name, scroll) {
  const p = PEOPLE.get(name);
  for (const button of personPick.children) button.setAttribute('aria-pressed', String(button.dataset.user === name));
  const metrics = Object.entries(p.metrics || {}).map(([m, v]) => `${m} ${number(v)}`).join(' · ');
  fill(personBox,
    el('h3', {}, bdi(userName(name))),
    el('p', {class: 'muted'}, [plural(p.length, 'training interaction'), p.held_out ? `${p.held_out} held out` : '', metrics].filter(Boolean).join(' · ')),
    p.segments.length ? el('div', {class: 'tags', css: {margin: '10px 0'}}, p.segments.map(([s, share]) => el('span', {class: 'tag named'}, key(s, true), bdi(segmentName(s), 'one'), el('span', {class: 'muted'}, percent(share))))) : null,
    el('div', {class: 'pair'},
      el('div', {}, el('h4', {}, 'Recommended, and what in the history speaks for it'), el('ol', {class: 'recs'}, p.recommended.map(r => el('li', {}, el('div', {}, bdi(r.name, 'cut'), r.hit && el('span', {class: 'mark'}, '✓ held out, found'),
        r.why.length ? el('div', {}, el('small', {}, 'shares users with ', r.why.flatMap((w, i) => [i ? ' and ' : '', bdi(w)]))) : null))))),
      el('div', {}, el('h4', {}, p.length > p.history.length ? `History, ${p.history.length} of ${p.length}` : 'History'), el('ul', {class: 'list'}, p.history.map(h => el('li', {}, bdi(h, 'cut')))))));
  if (scroll) { byId('users').scrollIntoView(); say(`${userName(name)}: ${p.recommended.length} recommendations shown`); }
}

let MAP, legendBox, aboutBox, colourSelect;
function mapBox() {
  MAP = new PointMap(DATA.map);
  const titles = {segment: 'Segment', community: 'Community of the graph', cluster: 'Cluster of the vectors', interactions: 'Number of interactions'};
  colourSelect = el('select', {onchange: () => colourBy(MAP.colours[colourSelect.selectedIndex])}, MAP.colours.map(c => el('option', {}, titles[c.key] || c.key)));
  const toggles = (label, options, pick) => {
    const buttons = options.map(([value, text], n) => el('button', {'aria-pressed': String(!n), onclick: () => { buttons.forEach(b => b.setAttribute('aria-pressed', String(b.value === value))); pick(value); }, value}, text));
    return el('span', {class: 'group', role: 'group', 'aria-label': label}, buttons);
  };
  const zoom = factor => () => MAP.zoomAt(MAP.canvas.clientWidth / 2, MAP.canvas.clientHeight / 2, factor);
  const stage = el('div', {class: 'stage'});
  [legendBox, aboutBox] = [el('div', {class: 'legend'}), el('div', {'aria-live': 'polite'})];
  MAP.onselect = describeSelection;
  MAP.onpoint = describePoint;
  const box = el('div', {class: 'panel'},
    el('div', {class: 'tools'}, searchBox(), el('label', {}, 'Colour', colourSelect),
      toggles('Shown', [['both', 'All'], ['users', 'Users'], ['items', 'Items']], value => { MAP.show = value; MAP.draw(); colourBy(MAP.by); }),
      toggles('Dragging', [['pan', 'Move'], ['lasso', 'Lasso']], value => { MAP.mode = value; MAP.canvas.classList.toggle('lassoing', value === 'lasso'); }),
      el('span', {class: 'group', role: 'group', 'aria-label': 'Zoom'}, el('button', {'aria-label': 'Zoom in', onclick: zoom(1.5)}, '+'), el('button', {'aria-label': 'Zoom out', onclick: zoom(1 / 1.5)}, '−'), el('button', {onclick: () => { MAP.home(); MAP.clear(); }}, 'Reset'))),
    el('div', {class: 'mapped'}, stage, el('div', {class: 'side', tabindex: 0, role: 'region', 'aria-label': 'Selection and legend'}, aboutBox, legendBox)));
  queueMicrotask(() => { MAP.mount(stage); colourBy(MAP.by); MAP.clear(); });
  return box;
}

function colourBy(by) {
  MAP.by = by;
  MAP.group = -1;
  MAP.draw();
  if (by.kind === 'levels') {
    const stops = [0, 0.25, 0.5, 0.75, 1].map(ramp).join(',');
    fill(legendBox, el('div', {class: 'ramp', css: {background: `linear-gradient(90deg, ${stops})`}}), el('div', {class: 'ends'}, el('span', {}, by.low), el('span', {}, by.high)));
    return;
  }
  const sizes = new Uint32Array(256);
  for (let i = 0; i < MAP.total; i++) if (MAP.visible(i)) sizes[by.labels[i]]++;
  fill(legendBox, by.names.map((name, n) => name && el('button', {'aria-pressed': 'false', 'data-group': n, onclick: e => pickGroup(n, e.currentTarget)}, key(n, true), bdi(name, 'one'), el('span', {class: 'n'}, sizes[n].toLocaleString('en')))));
}

function pickGroup(n, button) {
  const on = MAP.group !== n;
  MAP.clear();
  for (const other of legendBox.children) other.setAttribute('aria-pressed', 'false');
  MAP.group = on ? n : -1;
  if (button) button.setAttribute('aria-pressed', String(on));
  MAP.draw();
  if (on) describeSelection();
}

function selectSegment(segment) {
  colourSelect.selectedIndex = 0;
  colourBy(MAP.colours[0]);
  pickGroup(segment, legendBox.querySelector(`[data-group="${segment}"]`));
  byId('map').scrollIntoView();
}

function describePoint(i) {
  const user = i < MAP.data.users, name = MAP.title(i), groups = MAP.colours.filter(c => c.kind === 'groups' && c.labels[i] !== 255);
  const person = user && PEOPLE.get(MAP.data.names[i]);
  fill(aboutBox, el('h3', {}, bdi(name, 'cut')), el('p', {class: 'muted'}, `${user ? 'user' : 'item'} · ${plural(MAP.degrees[i], user ? 'interaction' : 'user')}`),
    el('ul', {class: 'list'}, groups.map(c => el('li', {class: 'named'}, key(c.labels[i], true), bdi(c.names[c.labels[i]], 'one')))),
    person && el('button', {css: {marginTop: '10px'}, onclick: () => showPerson(person.name, true)}, 'History and recommendations'));
  say(`${name}, ${groups.map(c => c.names[c.labels[i]]).join(', ')}`);
}

function describeSelection() {
  const {users} = MAP.data, picked = [];
  if (MAP.chosen || MAP.group >= 0) for (let i = 0; i < MAP.total; i++) if (MAP.visible(i) && MAP.picked(i)) picked.push(i);
  if (!picked.length) {
    fill(aboutBox, el('p', {class: 'muted'}, 'Hover or click a point. Drag with Lasso, or hold Shift, to select many. Items are smaller and lie where their users do.'));
    if (MAP.path.getAttribute('d')) say('Nothing selected');
    return;
  }
  const people = picked.filter(i => i < users), items = picked.filter(i => i >= users).sort((a, b) => MAP.degrees[b] - MAP.degrees[a]);
  const by = MAP.colours.find(c => c.kind === 'groups'), sizes = new Map();
  for (const i of people.length ? people : items) if (by.labels[i] !== 255) sizes.set(by.labels[i], (sizes.get(by.labels[i]) || 0) + 1);
  const whole = people.length || items.length, shares = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 6);
  fill(aboutBox, el('h3', {id: 'selection'}, `${plural(people.length, 'user')}, ${plural(items.length, 'item')} selected`),
    whole >= DATA.run.min_users ? el('div', {css: {margin: '8px 0'}}, el('h4', {}, by.key === 'segment' ? 'Segments' : 'Communities'), el('ul', {class: 'list'}, shares.map(([n, size]) => el('li', {class: 'named'}, key(n, true), bdi(by.names[n], 'one'), el('span', {class: 'muted'}, percent(size / whole)))))) : null,
    items.length ? el('div', {}, el('h4', {}, 'Most popular items among them'), el('ul', {class: 'list'}, items.slice(0, 8).map(i => el('li', {}, bdi(MAP.data.names[i], 'one'))))) : null,
    el('button', {class: 'plain', css: {marginLeft: '-8px'}, onclick: () => { MAP.clear(); for (const b of legendBox.children) b.setAttribute('aria-pressed', 'false'); }}, 'Clear the selection'));
  say(`${people.length} users and ${items.length} items selected`);
}

function searchBox() {
  const list = el('ul', {class: 'hits', role: 'listbox', id: 'hits', hidden: true, 'aria-label': 'Found'});
  const input = el('input', {type: 'search', id: 'search', placeholder: 'Find a user or an item', 'aria-label': 'Find a user or an item', role: 'combobox', 'aria-expanded': 'false', 'aria-controls': 'hits', 'aria-autocomplete': 'list', autocomplete: 'off'});
  const lower = DATA.map.names.map(name => name.toLocaleLowerCase());
  let at = 0, found = [];
  const close = () => { list.hidden = true; input.setAttribute('aria-expanded', 'false'); input.removeAttribute('aria-activedescendant'); };
  const choose = i => { close(); input.value = DATA.map.names[i]; MAP.goTo(i); };
  const mark = () => { [...list.children].forEach((li, n) => li.setAttribute('aria-selected', String(n === at))); input.setAttribute('aria-activedescendant', 'hit-' + at); list.children[at].scrollIntoView({block: 'nearest'}); };
  input.addEventListener('input', () => {
    const text = input.value.trim().toLocaleLowerCase().replace(/^user /, DATA.run.anonymous ? 'user ' : '');
    if (!text) { close(); return; }
    const rank = name => name === text ? 0 : name.startsWith(text) ? 1 : name.includes(text) ? 2 : 3;
    const tiers = [[], [], []];
    for (let i = 0; i < lower.length && tiers[1].length < 30; i++) { const r = rank(lower[i]); if (r < 3 && tiers[r].length < 30) tiers[r].push(i); }
    found = tiers.flat().slice(0, 20);
    at = 0;
    fill(list, found.length ? found.map((i, n) => el('li', {role: 'option', id: 'hit-' + n, onmousedown: e => { e.preventDefault(); choose(i); }}, bdi(MAP.title(i), 'one'), el('span', {}, i < DATA.map.users ? 'user' : 'item'))) : [el('li', {}, 'Nothing found')]);
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    if (found.length) mark();
    say(`${found.length} found`);
  });
  input.addEventListener('keydown', e => {
    if (e.key === 'Escape') close();
    if (list.hidden || !found.length) return;
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') { at = (at + (e.key === 'ArrowDown' ? 1 : found.length - 1)) % found.length; mark(); e.preventDefault(); }
    if (e.key === 'Enter') choose(found[at]);
  });
  input.addEventListener('blur', close);
  return el('div', {class: 'found'}, input, list);
}
