// Draws the records into #timeline, in the place of the static picture, which stays where no script runs.
(() => {
  const $ = id => document.getElementById(id);
  const chart = $('timeline'), card = $('timeline-card'), picture = $('cell-timeline');
  const {records, dials} = JSON.parse($('timeline-data').textContent);
  const system = matchMedia('(prefers-color-scheme: dark)'), narrow = matchMedia('(max-width: 46em)');
  const css = name => getComputedStyle(document.body).getPropertyValue(name).trim();
  const dark = () => ({dark: true, light: false})[document.body.dataset.theme] ?? system.matches;
  const bold = text => `<b>${text}</b>`;
  const wrap = text => text.replace(/(.{40,56}?) /g, '$1<br>');
  const minutes = r => `${r.minutes} minutes`;
  let byDate = true;
  const along = r => byDate ? r.date : r.record;

  function traces() {
    const line = {
      x: records.map(along), y: records.map(r => r.minutes), mode: 'lines', hoverinfo: 'skip', showlegend: false,
      line: {shape: 'hv', width: 1, color: css('--color-foreground-border')},
    };
    const start = {key: '', name: 'the start', light: '#000000', dark: '#ffffff'};
    return [line, ...[start, ...dials].flatMap(dial => {
      const some = records.filter(r => r.dial === dial.key), color = dark() ? dial.dark : dial.light;
      const points = {
        legendgroup: dial.key, showlegend: false, x: some.map(along), y: some.map(r => r.minutes), mode: 'markers',
        marker: {color, size: 9, symbol: some.map(r => r.href ? 'circle' : 'circle-open'), line: {width: 1.5, color}},
        customdata: some.map(r => r.record), hoverinfo: 'text',
        text: some.map(r => [bold(wrap(`${r.record}  ${r.title}`)), wrap(r.what), ' ', `${r.date}   ${bold(minutes(r))}`, r.bought, r.dials]
          .filter(Boolean).join('<br>')),
      };
      // The legend has points of its own, since it would show a dial by its first record: filled or hollow.
      const legend = {legendgroup: dial.key, name: dial.name, x: [null], y: [null], mode: 'markers', marker: {color, size: 9}};
      return dial.key ? [points, legend] : [points];
    })];
  }

  function layout() {
    const text = css('--color-foreground-primary'), grid = css('--color-background-border'), small = narrow.matches;
    const ticks = [1, 1.5, 2, 3, 5, 10, 20, 45];
    return {
      height: small ? 400 : 470, margin: {l: small ? 34 : 52, r: 8, t: 8, b: 34}, uirevision: 'kept',
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', hovermode: 'closest', dragmode: false,
      font: {family: css('--font-stack'), size: small ? 11 : 12.5, color: text},
      xaxis: {gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true, ...byDate
        ? {type: 'date', range: ['2024-05-01', '2026-08-15'], dtick: small ? 'M6' : 'M3', tick0: '2024-01-01', tickformat: '%b<br>%Y'}
        : {type: 'linear', range: [-1, records.length + 2], dtick: small ? 20 : 10, title: {text: 'record', standoff: 4}}},
      yaxis: {type: 'log', gridcolor: grid, linecolor: grid, zeroline: false, fixedrange: true, tickvals: ticks, ticktext: ticks.map(String),
        range: [Math.log10(1.1), Math.log10(52)], title: small ? undefined : {text: 'minutes to a loss of 3.28 (log scale)', standoff: 8}},
      legend: {x: 1, xanchor: 'right', y: 1, yanchor: 'top', bgcolor: 'rgba(0,0,0,0)', tracegroupgap: 0},
      hoverlabel: {bgcolor: css('--color-background-secondary'), font: {color: text, size: 12.5}, align: 'left'},
    };
  }

  function draw() { return Plotly.react(chart, traces(), layout(), {displayModeBar: false, responsive: true, showTips: false}); }

  function add(parent, tag, text, attributes = {}) {
    const element = Object.assign(document.createElement(tag), attributes);
    element.textContent = text;
    parent.append(element, ' ');
    return element;
  }

  function show(number) {
    const r = records[number - 1];
    card.replaceChildren();
    card.hidden = false;
    const steps = add(card, 'div', '', {className: 'steps'});
    for (const [text, to, label] of [['‹', number - 1, 'earlier record'], ['›', number + 1, 'later record']])
      add(steps, 'button', text, {disabled: !records[to - 1], ariaLabel: label, onclick: () => show(to)});
    add(card, 'strong', `${r.record}  ${r.title}`);
    add(card, 'p', r.what);
    add(card, 'p', [r.date, minutes(r), r.bought, r.dials].filter(Boolean).join(' · '), {className: 'facts'});
    if (r.href) add(add(card, 'p', ''), 'a', `Lesson: ${r.lesson}`, {href: r.href});
    else add(card, 'p', 'No lesson teaches it yet.', {className: 'facts'});
  }

  for (const box of document.getElementsByName('timeline-axis'))
    box.addEventListener('change', () => { byDate = box.value === 'date'; draw(); });
  chart.hidden = $('timeline-help').hidden = false;
  picture.hidden = true;
  draw().then(() => {
    for (const kind of ['pointerdown', 'pointermove'])   // a finger gets the card, a mouse the label
      chart.addEventListener(kind, e => chart.classList.toggle('touched', e.pointerType !== 'mouse'), true);
    const of = event => records[event.points[0].customdata - 1];
    chart.on('plotly_hover', event => chart.classList.toggle('opens', !!of(event).href));
    chart.on('plotly_unhover', () => chart.classList.remove('opens'));
    chart.on('plotly_click', event => {
      const r = of(event);
      if (chart.classList.contains('touched') || !r.href) show(r.record);
      else if (event.event.ctrlKey || event.event.metaKey) window.open(r.href);
      else location.href = r.href;
    });
  });
  new MutationObserver(draw).observe(document.body, {attributeFilter: ['data-theme']});
  for (const query of [system, narrow]) query.addEventListener('change', draw);
})();
