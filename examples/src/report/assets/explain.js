'use strict';
(() => {
  const palettes = JSON.parse(document.getElementById('palettes').textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const floats = (text) => {
    const view = new DataView(bytes(text).buffer);
    return Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
  };
  const colours = Object.fromEntries(Object.entries(palettes).map(([name, text]) => [name, bytes(text)]));
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const written = (value) => String(Number(value.toPrecision(6))).replace('-', '−');

  // The place of a value in the palette, from 0 to 1, and how strong its colour is.
  const shade = (map, value) => {
    const reach = Math.max(Math.abs(map.low), Math.abs(map.high));
    if (!(reach > 0)) return [map.diverging ? 0.5 : 0, 0];
    const inside = clamp(value, map.low, map.high);
    if (map.diverging) return [0.5 + inside / reach / 2, Math.abs(inside) / reach];
    const along = (inside - map.low) / (map.high - map.low);
    return [along, along];
  };

  const paint = (canvas, map, valueAt) => {
    const { width, height } = canvas;
    const context = canvas.getContext('2d');
    const image = context.createImageData(width, height);
    for (let y = 0, at = 0; y < height; y++) {
      for (let x = 0; x < width; x++, at += 4) {
        const [place, strength] = shade(map, valueAt(x, y));
        const colour = 3 * Math.round(255 * place);
        image.data.set(colours[map.palette].subarray(colour, colour + 3), at);
        image.data[at + 3] = Math.round(255 * strength);
      }
    }
    context.putImageData(image, 0, 0);
  };

  // The two cells that the centre of each pixel lies between, and how far along; outermost cells reach to the edge.
  const between = (axis, cells, pixels) => Array.from({ length: pixels }, (_, pixel) => {
    const place = clamp((pixel + 0.5) * axis.density / pixels - axis.offset, 0, cells - 1);
    const low = Math.floor(place);
    return [low, Math.min(low + 1, cells - 1), place - low];
  });
  const mix = (from, to, share) => from + (to - from) * share;

  const overlay = (canvas, map) => {
    const rows = between(map.rows, map.height, canvas.height);
    const columns = between(map.columns, map.width, canvas.width);
    const at = (row, column) => map.cells[row * map.width + column];
    paint(canvas, map, (x, y) => {
      const [[top, bottom, down], [left, right, across]] = [rows[y], columns[x]];
      const [upper, lower] = [top, bottom].map((row) => mix(at(row, left), at(row, right), across));
      return mix(upper, lower, down);
    });
  };

  // The file holds the picture once.
  const picture = document.querySelector('.input img');
  const start = (stage) => {
    stage.prepend(Object.assign(picture.cloneNode(), { alt: '' }));
    const map = JSON.parse(stage.querySelector('script').textContent);
    map.cells = floats(map.values);
    const figure = stage.closest('figure');
    const [cell, value] = [stage.querySelector('.cell'), figure.querySelector('.value')];
    const [gauge, needle] = [figure.querySelector('.gauge canvas'), figure.querySelector('.gauge i')];
    overlay(stage.querySelector('canvas'), map);
    paint(gauge, map, (x) => mix(map.low, map.high, x / (gauge.width - 1)));

    const extreme = (better) => map.cells.reduce((best, number, i) => better(number, map.cells[best]) ? i : best, 0);
    const largest = extreme((a, b) => a > b);
    let now = largest;
    const say = (index, word) => {
      now = index;
      const [row, column] = [Math.floor(index / map.width), index % map.width];
      const number = document.createElement('b');
      number.textContent = written(map.cells[index]);
      const place = `row ${row + 1}, column ${column + 1} of ${map.height}\u00a0×\u00a0${map.width}`;
      value.replaceChildren(word, number, ` · ${place}`);
      stage.dataset.value = map.cells[index];
    };
    const show = (index) => {
      say(index, '');
      const [row, column] = [Math.floor(index / map.width), index % map.width];
      const share = (axis, i) => `${100 * (axis.offset + i) / axis.density}%`;
      Object.assign(cell.style, {
        left: share(map.columns, column), top: share(map.rows, row),
        width: `${100 / map.columns.density}%`, height: `${100 / map.rows.density}%`,
      });
      const span = map.high - map.low;
      const along = span > 0 ? (clamp(map.cells[index], map.low, map.high) - map.low) / span : 0;
      needle.style.left = `${100 * along}%`;
      cell.hidden = needle.hidden = false;
    };
    const hide = () => {
      cell.hidden = needle.hidden = true;
      say(largest, 'largest ');
    };
    hide();

    const under = (event) => {
      const box = stage.getBoundingClientRect();
      const nearest = (axis, cells, share) => clamp(Math.round(share * axis.density - axis.offset), 0, cells - 1);
      const row = nearest(map.rows, map.height, (event.clientY - box.top) / box.height);
      return row * map.width + nearest(map.columns, map.width, (event.clientX - box.left) / box.width);
    };
    stage.addEventListener('pointermove', (event) => show(under(event)));
    stage.addEventListener('pointerdown', (event) => show(under(event)));
    stage.addEventListener('pointerleave', () => { if (document.activeElement !== stage) hide(); });
    stage.addEventListener('focus', () => show(now));
    stage.addEventListener('blur', hide);
    stage.addEventListener('keydown', (event) => {
      const [row, column] = [Math.floor(now / map.width), now % map.width];
      const step = event.shiftKey ? 8 : 1;
      const to = {
        ArrowUp: [row - step, column], ArrowDown: [row + step, column],
        ArrowLeft: [row, column - step], ArrowRight: [row, column + step],
      }[event.key];
      if (to) show(clamp(to[0], 0, map.height - 1) * map.width + clamp(to[1], 0, map.width - 1));
      else if (event.key === 'Home') show(largest);
      else if (event.key === 'End') show(extreme((a, b) => a < b));
      else return;
      event.preventDefault();
    });
  };
  document.querySelectorAll('.stage').forEach(start);

  const sliders = [...document.querySelectorAll('.opacity input')];
  const cover = (slider) => {
    const share = slider.value / 100;
    slider.closest('.card').querySelectorAll('canvas').forEach((canvas) => { canvas.style.opacity = share; });
    slider.parentElement.querySelector('output').value = `${slider.value} %`;
  };
  sliders.forEach((slider) => {
    slider.addEventListener('input', () => cover(slider));
    cover(slider);
  });
  document.getElementById('all').addEventListener('input', (event) => sliders.forEach((slider) => {
    slider.value = event.target.value;
    cover(slider);
  }));

  const { body } = document;
  const grey = document.getElementById('grey');
  const greyed = () => body.classList.toggle('grey', grey.checked);
  grey.addEventListener('change', greyed);
  greyed();
  const edges = document.getElementById('edges');
  edges?.addEventListener('change', () => body.classList.toggle('no-edges', !edges.checked));
})();
