// Cards of segments, two of them compared, the heat map.
// Days in the unit that people would say.
function ago(days) {
  if (days < 1) return `${Math.round(24 * days)} h`;
  if (days < 90) return `${Math.round(days)} days`;
  return days < 700 ? `${Math.round(days / 30.44)} months` : `${(days / 365.25).toFixed(1)} years`;
}

function facts(card) {
  const whole = x => Math.round(x).toLocaleString('en');
  const rows = [['Interactions', card.frequency, whole], ['Last seen, ago', card.recency, ago], ['Active for', card.span, ago]].filter(r => r[1]);
  return rows.length ? el('dl', {class: 'facts'}, rows.map(([name, q, say]) => el('div', {},
    el('dt', {}, name), el('dd', {}, say(q[1])), el('dd', {class: 'muted', title: 'the middle half of the users'}, `${say(q[0])} – ${say(q[2])}`)))) : null;
}

function chips(title, users) {
  return users && users.length ? el('div', {}, el('h4', {}, title), el('div', {class: 'tags'}, users.map(name =>
    PEOPLE.has(name) ? el('button', {class: 'tag', onclick: () => showPerson(name, true)}, bdi(name, 'one')) : el('span', {class: 'tag'}, bdi(name))))) : null;
}

function tastes(card) {
  const p = card.profile, traits = p.tags && p.tags.length ? p.tags : p.words;
  return [liftList('Likes more than others', traits), liftList('Favourites', p.likes),
    liftList('Avoids', [...(p.avoids || []).slice(0, 3), ...(p.dislikes || []).slice(0, 2)])];
}

function cardOf(card) {
  if (card.hidden) return el('article', {class: 'panel card'}, el('h3', {class: 'name'}, `segment ${card.segment}`), el('p', {class: 'muted'}, `Fewer than ${DATA.run.min_users} users: not shown.`));
  const p = card.profile, nothing = !(p.tags || []).length && !(p.words || []).length && !p.likes.length;
  const examples = DATA.people.filter(u => u.segments.length && u.segments[0][0] === card.segment && u.role !== 'typical').map(u => u.name);
  return el('article', {class: 'panel card', id: 'segment-' + card.segment, 'aria-label': card.name},
    el('h3', {class: 'name'}, key(card.segment), bdi(card.name, 'cut')),
    el('p', {class: 'size'}, el('b', {}, percent(card.share)), ` of users · ${count(card.users)}`, card.group && bdi(` · ${card.group}`)),
    nothing ? el('p', {class: 'muted'}, 'Nothing sets its taste apart beyond chance.') : tastes(card),
    p.typical && p.typical.length ? el('div', {}, el('h4', {}, 'Most often'), el('ul', {class: 'list'}, p.typical.slice(0, 3).map(t => el('li', {}, bdi(t, 'one'))))) : null,
    facts(card), chips('Typical users', p.users), chips('Other examples', examples),
    el('div', {class: 'foot'}, el('button', {class: 'plain', onclick: () => selectSegment(card.segment)}, 'Show on the map'),
      el('button', {class: 'plain', onclick: () => compareWith(card.segment)}, 'Compare')));
}

function shares() {
  return el('div', {class: 'shares', role: 'group', 'aria-label': 'Shares of the segments'}, DATA.segments.filter(s => !s.hidden).map(s =>
    el('button', {css: {flexGrow: s.users, background: colour(s.segment)}, 'data-tone': s.segment, title: `${s.name}: ${percent(s.share)}`, 'aria-label': `${s.name}, ${percent(s.share)} of users`,
      onclick: () => byId('segment-' + s.segment).scrollIntoView({block: 'center'})})));
}

let pickFirst, pickSecond, pairBox;
function segmentPair() {
  const known = DATA.segments.filter(s => !s.hidden);
  const choice = (label, value) => { const select = el('select', {onchange: drawPair}, known.map(s => el('option', {value: s.segment}, s.name))); select.value = value; return [el('label', {}, label, select), select]; };
  const [first, a] = choice('Compare', known[0].segment), [second, b] = choice('with', known[1].segment);
  [pickFirst, pickSecond, pairBox] = [a, b, el('div', {})];
  drawPair();
  return el('div', {class: 'panel', id: 'pair', css: {marginTop: '16px'}}, el('div', {class: 'tools'}, first, second), pairBox);
}
function drawPair() {
  const pair = [pickFirst, pickSecond].map(s => SEGMENT.get(Number(s.value)));
  const rows = pair.map(s => DATA.heat && DATA.heat.rows.find(r => r.segment === s.segment));
  const apart = rows[0] && rows[1] ? DATA.heat.columns.map((name, i) => [name, rows[0].lift[i], rows[1].lift[i]]).sort((x, y) => Math.abs(Math.log(y[1] / y[2])) - Math.abs(Math.log(x[1] / x[2]))).slice(0, 8) : [];
  fill(pairBox, apart.length ? table('What tells the two segments apart', [th(`Furthest apart in ${DATA.heat.kind}`), el('th', {scope: 'col', class: 'num'}, named(pair[0].segment)), el('th', {scope: 'col', class: 'num'}, named(pair[1].segment))],
    apart.map(([name, x, y]) => el('tr', {}, el('th', {scope: 'row'}, bdi(name)), td('×' + x.toFixed(2), true), td('×' + y.toFixed(2), true)))) : null,
    el('div', {class: 'pair'}, pair.map(s => el('div', {}, el('h3', {}, named(s.segment)), el('p', {class: 'muted'}, `${percent(s.share)} of users · ${count(s.users)}`), facts(s), liftList('Favourites', s.profile.likes), liftList('Avoids', s.profile.dislikes)))));
}
function compareWith(segment) {
  if (!pickFirst) return;
  const before = Number(pickFirst.value);
  if (before !== segment) { pickSecond.value = before; pickFirst.value = segment; }
  drawPair();
  byId('pair').scrollIntoView({block: 'start'});
  pickSecond.focus();
}

function heatMap(heat) {
  const cell = (lift, sure, column) => {
    const strength = Math.min(1, Math.abs(Math.log2(Math.max(lift, 0.05))) / 1.3), tone = lift > 1 ? '--high' : '--low';
    return el('td', {class: sure ? null : 'unsure', title: `${column}: ×${lift.toFixed(2)}${sure ? '' : ', within chance'}`, css: {background: `rgba(var(${tone}), ${(sure ? 0.75 : 0.35) * strength})`}}, lift.toFixed(1));
  };
  return el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Heat map'}, el('table', {class: 'heat'},
    el('caption', {class: 'unseen'}, `Lift of ${heat.kind} in each segment`),
    el('thead', {}, el('tr', {}, el('td', {}), heat.columns.map(c => el('th', {scope: 'col', class: 'col'}, bdi(c))))),
    el('tbody', {}, heat.rows.map(r => el('tr', {}, el('th', {scope: 'row'}, named(r.segment)), r.lift.map((x, i) => cell(x, r.sure[i], heat.columns[i])))))));
}
