# The 30 differ in name and variables; both follow from a number here, so a loop writes them. save is for the next boot.
edit moved.config.js <<END
const COUNT = $COUNT;
const apps = [...Array(COUNT)].map((_, i) => {
  const name = 'old-' + String(i + 1).padStart(2, '0');
  return {
    name, script: 'old/bot.py', args: name, cwd: '$HOME', interpreter: '$PYTHON',
    env: { GREETING: 'from ' + name },
  };
});
module.exports = { apps };
END
run supervisorctl -c old/supervisord.conf shutdown
run pm2 start moved.config.js
run pm2 save
