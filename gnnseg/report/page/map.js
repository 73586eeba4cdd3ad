// The map paints pixels itself, so that a hundred thousand points pan smoothly without a graphics card.
class PointMap {
  constructor(data) {
    Object.assign(this, {data, total: data.users + data.items, show: 'both', mode: 'pan', focus: -1, group: -1});
    this.xy = bytes(data.points, Uint16Array);
    this.degrees = bytes(data.degrees, Uint16Array);
    this.colours = data.colours.map(c => ({...c, labels: bytes(c.labels, Uint8Array)}));
    this.by = this.colours[0];
    this.selected = new Uint8Array(this.total);
    this.chosen = 0;
    this.view = {x: 0.5, y: 0.5, zoom: 1};
    this.frames = [];
  }

  mount(stage) {
    this.stage = stage;
    this.canvas = el('canvas', {tabindex: 0, role: 'img', 'aria-label': 'Map of users and items. Arrow keys move, plus and minus zoom, 0 shows all. Search, or choose a group of the legend, to select without a mouse.'});
    this.path = el('path', {fill: 'rgba(0,103,165,.13)', stroke: 'var(--accent)', 'stroke-width': 1.5});
    this.ring = el('circle', {r: 11, fill: 'none', stroke: 'var(--ink)', 'stroke-width': 2.5, visibility: 'hidden'});
    this.tip = el('div', {class: 'tip', hidden: true});
    stage.append(this.canvas, el('svg', {'aria-hidden': 'true'}, this.path, this.ring), this.tip);
    this.context = this.canvas.getContext('2d');
    this.listen();
    new ResizeObserver(() => this.resize()).observe(stage);
    this.resize();
  }

  resize() {
    const box = this.stage.getBoundingClientRect();
    if (!box.width) return;
    this.dpr = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(box.width * this.dpr);
    this.canvas.height = Math.round(box.height * this.dpr);
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.draw();
  }

  // From 0..65535 to pixels of the canvas: factor and offsets.
  frame() {
    const {width, height} = this.canvas, size = Math.min(width, height) * 0.94 * this.view.zoom;
    return {size, left: width / 2 - this.view.x * size, top: height / 2 - this.view.y * size};
  }

  visible(i) {
    return this.show === 'both' || (this.show === 'users') === (i < this.data.users);
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.paint(); });
  }

  paint() {
    const started = performance.now(), {width, height} = this.canvas, {size, left, top} = this.frame();
    const background = pixel(getComputedStyle(document.documentElement).getPropertyValue('--bg'));
    this.pixels.fill(background);
    const scale = size / 65535, {xy, data, pixels} = this, narrowed = this.chosen > 0 || this.group >= 0;
    const radius = Math.max(1.2, Math.min(6, 90 / Math.sqrt(this.total) * Math.sqrt(this.view.zoom) + 1)) * this.dpr;
    const stamps = this.stamps(radius);
    // What is not selected is painted first and fainter; items lie under users.
    for (const pass of narrowed ? [0, 1] : [1]) {
      for (const [from, to] of [[data.users, this.total], [0, data.users]]) {
        if (!this.visible(from)) continue;
        for (let i = from; i < to; i++) {
          if (narrowed && this.picked(i) !== pass) continue;
          const x = Math.round(xy[2 * i] * scale + left), y = Math.round(xy[2 * i + 1] * scale + top);
          if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
          stamp(pixels, width, height, x, y, stamps[(i < data.users ? 0 : 256) + this.by.labels[i]], narrowed && !pass ? 46 : i < data.users ? 205 : 120);
        }
      }
    }
    this.context.putImageData(this.image, 0, 0);
    this.mark();
    this.frames.push(performance.now() - started);
    if (this.frames.length > 300) this.frames.shift();
  }

  picked(i) {
    if (this.chosen) return this.selected[i];
    return this.by.labels[i] === this.group ? 1 : 0;
  }

  // One small mask and colour for each label, users above items; items are smaller.
  stamps(radius) {
    const id = `${radius}|${this.by.key}|${isDark()}`;
    if (this.stamped === id) return this.masks;
    this.stamped = id;
    this.masks = Array.from({length: 512}, (_, n) => {
      const label = n % 256, none = label === 255, levels = this.by.kind === 'levels';
      const tone = none ? colour(-1) : levels ? ramp(label / 254) : colour(label);
      return {rgb: rgb(tone), ...mask(none || levels ? 'circle' : shape(label), n < 256 ? radius : radius * 0.72)};
    });
    return this.masks;
  }

  mark() {
    this.ring.setAttribute('visibility', this.focus < 0 ? 'hidden' : 'visible');
    if (this.focus < 0) return;
    const [x, y] = this.at(this.focus);
    this.ring.setAttribute('cx', x);
    this.ring.setAttribute('cy', y);
  }

  // From 0..65535 to CSS pixels of the stage: factor and offsets.
  css() {
    const {size, left, top} = this.frame();
    return [size / 65535 / this.dpr, left / this.dpr, top / this.dpr];
  }

  // A point's place in CSS pixels of the stage.
  at(i) {
    const [scale, left, top] = this.css();
    return [this.xy[2 * i] * scale + left, this.xy[2 * i + 1] * scale + top];
  }

  nearest(x, y, reach = 12) {
    const [scale, left, top] = this.css();
    let best = -1, distance = reach * reach;
    for (let i = 0; i < this.total; i++) {
      if (!this.visible(i)) continue;
      const px = this.xy[2 * i] * scale + left, py = this.xy[2 * i + 1] * scale + top, d = (px - x) ** 2 + (py - y) ** 2;
      if (d < distance) { best = i; distance = d; }
    }
    return best;
  }

  zoomAt(x, y, factor) {
    const {size, left, top} = this.frame(), zoom = Math.max(0.6, Math.min(80, this.view.zoom * factor));
    const [px, py] = [x * this.dpr, y * this.dpr], [u, v] = [(px - left) / size, (py - top) / size];
    this.view.zoom = zoom;
    const next = Math.min(this.canvas.width, this.canvas.height) * 0.94 * zoom;
    this.view.x = u + (this.canvas.width / 2 - px) / next;
    this.view.y = v + (this.canvas.height / 2 - py) / next;
    this.draw();
  }

  move(dx, dy) {
    const {size} = this.frame();
    this.view.x = Math.max(-0.5, Math.min(1.5, this.view.x - dx * this.dpr / size));
    this.view.y = Math.max(-0.5, Math.min(1.5, this.view.y - dy * this.dpr / size));
    this.draw();
  }

  home() { this.view = {x: 0.5, y: 0.5, zoom: 1}; this.draw(); }

  goTo(i) {
    this.focus = i;
    this.view = {x: this.xy[2 * i] / 65535, y: this.xy[2 * i + 1] / 65535, zoom: Math.max(this.view.zoom, 4)};
    this.draw();
    this.onpoint(i);
  }

  // Selects what lies in a polygon of CSS pixels (even-odd rule).
  lasso(points) {
    this.selected.fill(0);
    this.chosen = 0;
    const [scale, left, top] = this.css(), xs = points.map(p => p[0]), ys = points.map(p => p[1]);
    const [west, east, north, south] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    for (let i = 0; i < this.total; i++) {
      const x = this.xy[2 * i] * scale + left, y = this.xy[2 * i + 1] * scale + top;
      if (x < west || x > east || y < north || y > south || !this.visible(i)) continue;
      let inside = false;
      for (let a = 0, b = points.length - 1; a < points.length; b = a++) {
        const [ax, ay] = points[a], [bx, by] = points[b];
        if ((ay > y) !== (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax) inside = !inside;
      }
      if (inside) { this.selected[i] = 1; this.chosen++; }
    }
    this.group = -1;
    this.draw();
    this.onselect();
  }

  clear() { this.selected.fill(0); this.chosen = 0; this.group = -1; this.focus = -1; this.path.setAttribute('d', ''); this.draw(); this.onselect(); }

  listen() {
    const {canvas} = this, place = e => { const box = canvas.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
    const pointers = new Map();
    let drawn = null, moved = 0;
    canvas.addEventListener('pointerdown', e => {
      if (e.button) return;
      canvas.setPointerCapture(e.pointerId);
      pointers.set(e.pointerId, place(e));
      moved = 0;
      drawn = this.mode === 'lasso' || e.shiftKey ? [place(e)] : null;
      this.tip.hidden = true;
    });
    canvas.addEventListener('pointermove', e => {
      const now = place(e), before = pointers.get(e.pointerId);
      if (!before) { this.hover(now); return; }
      moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
      if (pointers.size === 2) {
        const [other] = [...pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
        const far = p => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        this.zoomAt((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, far(now) / far(before));
      } else if (drawn) {
        drawn.push(now);
        this.path.setAttribute('d', 'M' + drawn.map(p => p.map(v => v.toFixed(1)).join(' ')).join('L') + 'Z');
      } else this.move(now[0] - before[0], now[1] - before[1]);
      pointers.set(e.pointerId, now);
    });
    const end = e => {
      if (!pointers.delete(e.pointerId)) return;
      if (moved < 5 && e.type === 'pointerup') {
        const i = this.nearest(...place(e));
        this.focus = i;
        this.draw();
        if (i >= 0) this.onpoint(i);
      } else if (drawn && drawn.length > 2) this.lasso(drawn);
      drawn = null;
    };
    canvas.addEventListener('pointerup', end);
    canvas.addEventListener('pointercancel', end);
    canvas.addEventListener('pointerleave', () => { this.tip.hidden = true; });
    canvas.addEventListener('wheel', e => { e.preventDefault(); this.path.setAttribute('d', ''); this.zoomAt(...place(e), Math.exp(-e.deltaY / 400)); }, {passive: false});
    canvas.addEventListener('keydown', e => {
      const steps = {ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40]};
      const box = canvas.getBoundingClientRect();
      if (steps[e.key]) this.move(...steps[e.key]);
      else if (e.key === '+' || e.key === '=') this.zoomAt(box.width / 2, box.height / 2, 1.4);
      else if (e.key === '-') this.zoomAt(box.width / 2, box.height / 2, 1 / 1.4);
      else if (e.key === '0') this.home();
      else if (e.key === 'Escape') this.clear();
      else return;
      e.preventDefault();
    });
  }

  hover([x, y]) {
    if (this.hovering) return;
    this.hovering = true;
    requestAnimationFrame(() => {
      this.hovering = false;
      const i = this.nearest(x, y, 8);
      this.tip.hidden = i < 0;
      if (i < 0) return;
      fill(this.tip, bdi(this.title(i), 'cut'));
      const right = x > this.canvas.clientWidth - 270;
      Object.assign(this.tip.style, {left: right ? 'auto' : x + 14 + 'px', right: right ? this.canvas.clientWidth - x + 14 + 'px' : 'auto', top: y + 12 + 'px'});
    });
  }

  title(i) { const name = this.data.names[i]; return i < this.data.users && !DATA.run.anonymous ? `user ${name}` : name; }
}

const rgb = tone => tone.startsWith('#') ? [1, 3, 5].map(at => parseInt(tone.slice(at, at + 2), 16)) : tone.match(/\d+/g).map(Number);
const pixel = tone => { const [r, g, b] = rgb(tone.trim()); return (255 << 24 | b << 16 | g << 8 | r) >>> 0; };

// Light to dark in one hue and lightness that grows evenly (after Cividis), readable without colour.
function ramp(x) {
  const ends = [[0, 45, 102], [95, 103, 114], [170, 158, 112], [253, 231, 55]];
  const at = Math.min(2.999, Math.max(0, x * 3)), n = Math.floor(at), f = at - n;
  return `rgb(${ends[n].map((v, i) => Math.round(v + (ends[n + 1][i] - v) * f)).join(',')})`;
}

// How much of each pixel a shape covers, 0 to 255, by 16 samples.
function mask(name, radius) {
  const reach = Math.ceil(radius), side = 2 * reach + 1, cover = new Uint8Array(side * side);
  const inside = (x, y) => {
    const [a, b] = [Math.abs(x), Math.abs(y)];
    if (name === 'square') return Math.max(a, b) < 0.86;
    if (name === 'triangle') return y < 0.8 && a < (y + 1) * 0.6;
    if (name === 'diamond') return a + b < 1.1;
    if (name === 'cross') return Math.max(a, b) < 0.95 && Math.abs(a - b) < 0.42;
    if (name === 'ring') { const d = Math.hypot(x, y); return d < 1 && d > 0.5; }
    if (name === 'plus') return Math.max(a, b) < 1 && Math.min(a, b) < 0.33;
    if (name === 'bar') return a < 1 && b < 0.45;
    return x * x + y * y < 1;
  };
  for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    let hits = 0;
    for (let s = 0; s < 16; s++) hits += inside((x - reach + (s % 4 - 1.5) / 4) / radius, (y - reach + ((s >> 2) - 1.5) / 4) / radius);
    cover[y * side + x] = hits * 255 / 16;
  }
  return {reach, side, cover};
}

function stamp(pixels, width, height, cx, cy, {rgb: [r, g, b], reach, side, cover}, opacity) {
  for (let y = 0; y < side; y++) {
    const py = cy + y - reach;
    if (py < 0 || py >= height) continue;
    for (let x = 0; x < side; x++) {
      const px = cx + x - reach, a = cover[y * side + x] * opacity >> 8;
      if (!a || px < 0 || px >= width) continue;
      const at = py * width + px, old = pixels[at], rest = 255 - a;
      pixels[at] = (255 << 24 | ((old >> 16 & 255) * rest + b * a >> 8) << 16 | ((old >> 8 & 255) * rest + g * a >> 8) << 8 | ((old & 255) * rest + r * a >> 8)) >>> 0;
    }
  }
}
