'use strict';
// The page is complete without this: it adds words under the pointer, sorting and brushes.
(function () {
  const each = (selector, act) => document.querySelectorAll(selector).forEach(act);
  const tip = document.getElementById('tip');

  // Words under the pointer, and the same trial lit up everywhere.
  document.addEventListener('mousemove', event => {
    const over = event.target.closest ? event.target.closest('[data-tip], tr[data-tid]') : null;
    each('.lit', mark => mark.classList.remove('lit'));
    if (over && over.dataset.tid) {
      each('[data-tid="' + over.dataset.tid + '"]', mark => mark.classList.add('lit'));
    }
    tip.hidden = !(over && over.dataset.tip);
    if (!tip.hidden) {
      tip.textContent = over.dataset.tip;
      tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + 'px';
      tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8) + 'px';
    }
  });

  // Sorting: numbers by value, others by text, empty cells last.
  each('th', heading => heading.addEventListener('click', () => {
    const column = heading.cellIndex, body = heading.closest('table').tBodies[0];
    const order = heading.dataset.order === '1' ? -1 : 1;
    each('th', other => other.removeAttribute('data-order'));
    heading.dataset.order = order;
    const key = row => {
      const cell = row.cells[column];
      return cell.dataset.value !== undefined ? parseFloat(cell.dataset.value) : cell.textContent;
    };
    const rows = Array.from(body.rows).map(row => [key(row), row]);
    rows.sort(([a], [b]) => {
      if (a === '' || b === '') return (a === '') - (b === '');
      if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1;
      return order * (a < b ? -1 : a > b ? 1 : 0);
    });
    rows.forEach(([, row]) => body.appendChild(row));
  }));

  // Brushes: a range held on each axis; a line that leaves one of them fades.
  const held = new Map();
  const filter = () => each('.line', line => {
    const heights = line.dataset.y.split(' ').map(Number);
    const inside = Array.from(held).every(([axis, [a, b]]) => heights[axis] >= a && heights[axis] <= b);
    line.classList.toggle('off', !inside);
  });
  each('.brush', axis => {
    const svg = axis.ownerSVGElement, index = Number(axis.dataset.axis);
    let from = null, box = null;
    const height = event => {
      const point = new DOMPoint(event.clientX, event.clientY);
      return point.matrixTransform(svg.getScreenCTM().inverse()).y;
    };
    const release = () => { if (box) box.remove(); box = null; held.delete(index); filter(); };
    axis.addEventListener('mousedown', event => {
      release();
      from = height(event);
      box = document.createElementNS(svg.namespaceURI, 'rect');
      box.setAttribute('class', 'held');
      box.setAttribute('x', axis.getAttribute('x'));
      box.setAttribute('width', axis.getAttribute('width'));
      svg.appendChild(box);
      event.preventDefault();
    });
    document.addEventListener('mousemove', event => {
      if (from === null) return;
      const a = Math.min(from, height(event)), b = Math.max(from, height(event));
      box.setAttribute('y', a);
      box.setAttribute('height', b - a);
      held.set(index, [a, b]);
      filter();
    });
    document.addEventListener('mouseup', () => { from = null; });
    axis.addEventListener('dblclick', release);
  });
})();
